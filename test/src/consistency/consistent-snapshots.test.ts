import { expect } from 'chai';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { byteCount, stateId, wallTime } from '../../../protocol/units.js';
import type { StateInfo } from '../../../protocol/state.js';
import type { ConsistencyPolicy } from '../../../src/config/configuration.js';
import { ConsistentSnapshots } from '../../../src/consistency/consistent-snapshots.js';
import { groupsWithToken, readStat } from '../../../src/consistency/stray-processes.js';
import { FrozenNote } from '../../../src/consistency/frozen-note.js';
import { FROZEN_AT_MOST_MS, type SnapshotOutcome } from '../../../src/consistency/snapshot-plan.js';
import type { SealAttempt, SealCondition, SealRequest } from '../../../src/engine/volume-service.js';
import { systemClock, type Clock } from '../../../src/platform/clock.js';
import { silentLog } from '../../../src/platform/log.js';
import { nodeFiles } from '../../../src/platform/node-files.js';
import { systemRandom } from '../../../src/platform/random.js';
import { sandboxPerTest } from '../../support/sandbox.js';
import { until } from '../../support/until.js';

const POLICY: ConsistencyPolicy = {
  quietMs: 20,
  deadlineMs: 5000,
  atDeadline: 'crash',
  before: null,
  after: null,
  notice: null,
  graceMs: 0,
};

describe('consistent snapshots', () => {
  const sandbox = sandboxPerTest();
  let events: string[];
  let seals: string[];
  /** What the volume answers to a seal on a condition. */
  let answer: (condition: SealCondition) => SealAttempt['kind'] | Promise<SealAttempt['kind']>;
  beforeEach(() => {
    events = [];
    seals = [];
    answer = () => 'sealed';
  });

  const note = (): FrozenNote => new FrozenNote(nodeFiles, sandbox().folder);
  const story = (): string[] => {
    const file = sandbox().path('story');
    return existsSync(file) ? readFileSync(file, 'utf8').trim().split('\n') : [];
  };
  const tell = (text: string): void => writeFileSync(sandbox().path('story'), `${text}\n`, { flag: 'a' });

  function make(policy: Partial<ConsistencyPolicy>, clock: Clock = systemClock): ConsistentSnapshots {
    const stateAt = ({ grade }: SealRequest): StateInfo => {
      seals.push(grade);
      tell(`seal ${grade}${existsSync(sandbox().path('frozen.json')) ? ', noted' : ''}`);
      const id = stateId(seals.length.toString(16).padStart(32, '0'));
      return { id, parent: null, ordinal: 0, time: wallTime(0), grade, size: byteCount(4096) };
    };
    return new ConsistentSnapshots({
      volumeName: 'ledger',
      volume: {
        sealIf: async (request, condition) => {
          const isPlain = condition.quietMs === undefined && condition.notAfter === undefined;
          const kind = isPlain ? 'sealed' : await answer(condition);
          if (kind === 'sealed') return { kind, state: stateAt(request) };
          return kind === 'too-late' ? { kind } : { kind, quietForMs: null };
        },
      },
      policy: { ...POLICY, ...policy },
      note: note(),
      cwd: sandbox().folder,
      environment: { FARCOPY_PRIMARY: 'branch' },
      ownFolders: [sandbox().folder],
      clock,
      random: systemRandom,
      log: silentLog,
      onEvent: (level, text) => events.push(`${level}: ${text}`),
    });
  }
  const take = (
    snapshots: ConsistentSnapshots,
    signal = new AbortController().signal,
  ): Promise<SnapshotOutcome> => snapshots.take({ pinAs: ['next:vault'], signal });
  const HOOKS = {
    before: 'echo "$FARCOPY_HOOK $FARCOPY_PRIMARY/$FARCOPY_VOLUME" >> story',
    after: 'echo "$FARCOPY_HOOK" >> story',
  };

  it('freeze, seal and thaw in this order, with a note on the disk meanwhile', async () => {
    const outcome = await take(make(HOOKS));
    expect(outcome).to.deep.include({ kind: 'sealed', troubles: [] });
    expect(story()).to.deep.equal(['before branch/ledger', 'seal application, noted', 'after']);
    expect(await note().exists()).to.equal(false);
    expect(events).to.deep.equal([]);
  });

  it('thaw after a before command that failed, and are of grade crash', async () => {
    const outcome = await take(
      make({ ...HOOKS, before: 'echo before >> story; echo no database >&2; false' }),
    );
    expect(outcome.kind).to.equal('sealed');
    expect(story()).to.deep.equal(['before', 'after', 'seal crash']);
    expect(events).to.deep.equal(['warning: ledger: the before command failed: exit code 1 (no database)']);
    expect(await note().exists()).to.equal(false);
  });

  it('thaw after a before command that hangs', async () => {
    await take(make({ ...HOOKS, before: 'echo before >> story; sleep 60', deadlineMs: 200 }));
    expect(story()).to.deep.equal(['before', 'after', 'seal crash']);
  });

  it('keep the note, and say so in the status, when thawing fails for good', async () => {
    const snapshots = make({ ...HOOKS, after: 'false' });
    expect((await take(snapshots)).kind).to.equal('sealed');
    expect(await note().exists()).to.equal(true);
    expect(snapshots.trouble).to.match(/may still be frozen/);
    // The next process thaws before anything else.
    const next = make(HOOKS);
    const recovered = next.recover();
    await take(next);
    await recovered;
    expect(story().slice(-4)).to.deep.equal([
      'after',
      'before branch/ledger',
      'seal application, noted',
      'after',
    ]);
    expect(await note().exists()).to.equal(false);
    expect(events.at(-1)).to.match(/stopped while the volume was frozen; the after command has been run/);
  });

  it('do nothing at the start where nothing was frozen', async () => {
    await make(HOOKS).recover();
    expect(story()).to.deep.equal([]);
  });

  it('end a before command that outlived its killed farcopy, and then thaw', async () => {
    const { spawn } = await import('node:child_process');
    const stray = spawn('/bin/sh', ['-c', 'sleep 60; touch too-late'], {
      cwd: sandbox().folder,
      detached: true,
      stdio: 'ignore',
    });
    const gone = new Promise<void>((resolve) => stray.once('exit', () => resolve()));
    await note().write(0, 'token');
    await note().writeRunning(0, 'token', stray.pid ?? 0);
    await make(HOOKS).recover();
    await gone;
    expect(story()).to.deep.equal(['after']);
  });

  it('end what a before command has left in another group and session, by the token in its environment', async () => {
    const snapshots = make({
      ...HOOKS,
      // Its shell has ended when farcopy is killed, which the `after` that fails stands for.
      before:
        "setsid sh -c 'echo $$ > far; sleep 60; touch too-late' & until [ -s far ]; do sleep 0.01; done",
      after: 'false',
    });
    await take(snapshots);
    const far = Number(readFileSync(sandbox().path('far'), 'utf8'));
    expect(await note().strays()).to.deep.equal([far]);
    const next = make(HOOKS);
    await next.recover();
    expect(await groupsWithToken(nodeFiles, 'no such token')).to.deep.equal([]);
    expect((await readStat(nodeFiles, far))?.state ?? 'Z').to.equal('Z');
    expect(story().at(-1)).to.equal('after');
  });

  it('keep the note at the start too, when thawing fails for good', async () => {
    await note().write(0, 'token');
    const snapshots = make({ ...HOOKS, after: 'echo tried >> story; false' });
    await snapshots.recover();
    expect(story()).to.deep.equal(['tried', 'tried', 'tried']);
    expect(snapshots.trouble).to.match(/may still be frozen/);
    expect(await note().exists()).to.equal(true);
    expect(events.at(-1)).to.match(/error: .*the after command failed: exit code 1/);
  });

  it('say so where nobody knows any more how to thaw', async () => {
    await note().write(0, 'token');
    await make({}).recover();
    expect(events.join()).to.match(/there is no after command any more/);
  });

  it('leave alone who has got the number of the before command since', async () => {
    const other = await import('node:child_process').then(({ spawn }) =>
      spawn('sleep', ['60'], { detached: true, stdio: 'ignore' }),
    );
    try {
      await note().writeRunning(0, 'token', other.pid ?? 0);
      const file = sandbox().path('frozen.json');
      writeFileSync(file, readFileSync(file, 'utf8').replace(/"startedAt":"\d+"/, '"startedAt":"1"'));
      await make(HOOKS).recover();
      expect(other.exitCode ?? other.signalCode).to.equal(null);
    } finally {
      other.kill('SIGKILL');
    }
  });

  it('wait for quiet, and tell of it', async () => {
    let asked = 0;
    answer = () => (++asked < 4 ? 'not-quiet' : 'sealed');
    const told: string[] = [];
    const outcome = await make({}).take({
      pinAs: [],
      signal: new AbortController().signal,
      onWaiting: (phase) => told.push(phase),
    });
    expect(outcome.kind).to.equal('sealed');
    expect(seals).to.deep.equal(['quiet']);
    expect(told).to.deep.equal(['quiet', 'quiet', 'quiet']);
  });

  it('are skipped at the deadline where policy says so', async () => {
    answer = () => 'not-quiet';
    const outcome = await take(make({ deadlineMs: 100, atDeadline: 'skip' }));
    expect(outcome).to.deep.equal({
      kind: 'skipped',
      why: 'the volume was not quiet by the deadline',
      troubles: [],
    });
    expect(seals).to.deep.equal([]);
  });

  it('are broken off by an abort in the wait, and in a before command, which is undone', async () => {
    answer = () => 'not-quiet';
    const told = new AbortController();
    const waiting = make({}).take({ pinAs: [], signal: told.signal, onWaiting: () => told.abort() });
    expect((await waiting).kind).to.equal('failed');

    const stopped = new AbortController();
    const freezing = take(make({ ...HOOKS, before: 'echo before >> story; sleep 60' }), stopped.signal);
    await until('it freezes', () => story().length > 0);
    stopped.abort();
    expect((await freezing).kind).to.equal('failed');
    expect(story()).to.deep.equal(['before', 'after']);
    expect(seals).to.deep.equal([]);
    expect(await note().exists()).to.equal(false);
  });

  it('thaw by the watchdog when the seal hangs, and count what it seals only if it was in time', async () => {
    // A hundred times as fast, where it is the watchdog's time.
    const hasty: Clock = {
      ...systemClock,
      after: (delay, fire) => systemClock.after(delay === FROZEN_AT_MOST_MS ? delay / 100 : delay, fire),
    };
    let notAfter = 0;
    answer = async (condition) => {
      notAfter = condition.notAfter ?? 0;
      await until('it is thawed', () => story().includes('after'));
      tell('seal too late');
      return 'too-late' as const;
    };
    const outcome = await take(make(HOOKS, hasty));
    expect(story()).to.deep.equal(['before branch/ledger', 'after', 'seal too late', 'seal crash']);
    expect(outcome.kind === 'sealed' && outcome.state.grade).to.equal('crash');
    expect(notAfter - Date.now()).to.be.within(0, FROZEN_AT_MOST_MS - 1000);
    expect(events.join()).to.match(/could not be kept frozen for as long as the seal took/);
  });

  it('are taken one after the other', async () => {
    const snapshots = make(HOOKS);
    await Promise.all([take(snapshots), take(snapshots)]);
    const one = ['before branch/ledger', 'seal application, noted', 'after'];
    expect(story()).to.deep.equal([...one, ...one]);
  });

  it('refuse to freeze the filesystem they write to', async () => {
    const folder = sandbox().folder;
    const outcome = await take(
      make({ before: `echo before >> story; : fsfreeze -f ${folder}`, after: 'true' }),
    );
    expect(outcome.kind).to.equal('sealed');
    expect(story()).to.deep.equal(['seal crash']);
    // It is told once, as part of the outcome.
    expect(events.join()).to.match(/it freezes .* the filesystem that holds farcopy's own/);
  });
});
