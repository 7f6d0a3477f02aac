import { expect } from 'chai';
import { existsSync, readFileSync } from 'node:fs';
import {
  MAX_OUTPUT_BYTES,
  runHook,
  type HookRequest,
  type HookResult,
} from '../../../src/consistency/hook.js';
import { frozenPlaces, freezeHazard } from '../../../src/consistency/freeze-hazard.js';
import { systemClock } from '../../../src/platform/clock.js';
import { sandboxPerTest } from '../../support/sandbox.js';
import { until } from '../../support/until.js';

describe('a command of the operator', () => {
  const sandbox = sandboxPerTest();
  const hook = (command: string, more: Partial<HookRequest> = {}): Promise<HookResult> =>
    runHook({
      command,
      timeoutMs: 20_000,
      cwd: sandbox().folder,
      environment: { FARCOPY_VOLUME: 'ledger' },
      clock: systemClock,
      ...more,
    });

  it('runs in a shell, in its folder, and knows what it is run for', async () => {
    const { trouble, output } = await hook('echo "$FARCOPY_VOLUME" && pwd');
    expect(trouble).to.equal(null);
    expect(output).to.equal(`ledger\n${sandbox().folder}`);
  });

  it('fails with its exit code and the last thing it said', async () => {
    const { trouble } = await hook('echo one; echo "not mounted" >&2; exit 3');
    expect(trouble).to.equal('exit code 3 (not mounted)');
  });

  it('that cannot be run has failed', async () => {
    expect((await hook('true', { cwd: '/does/not/exist' })).trouble).to.match(/cannot be run/);
    expect((await hook('no-such-program-anywhere')).trouble).to.match(/exit code 127/);
  });

  it('that does not end is ended after its time, with all it has started', async () => {
    const pidFile = sandbox().path('pid');
    const started = performance.now();
    const { trouble } = await hook(`trap "" TERM; sleep 60 & echo $! > ${pidFile}; wait; sleep 60`, {
      timeoutMs: 300,
    });
    expect(trouble).to.match(/not done after 0.3 s/);
    expect(performance.now() - started).to.be.lessThan(15_000);
    const child = Number(readFileSync(pidFile, 'utf8'));
    await until('its child is gone', () => !isAlive(child));
  });

  it('is ended early when nobody wants it any more', async () => {
    const told = new AbortController();
    const result = hook(`touch begun; sleep 60`, { signal: told.signal });
    await until('it has begun', () => existsSync(sandbox().path('begun')));
    told.abort();
    expect((await result).trouble).to.equal('it was given up');
  });

  it('begins only when it has been noted, and never where that fails', async () => {
    let noted = (): void => undefined;
    const result = hook('touch begun', {
      onStarted: (pid) => {
        expect(isAlive(pid)).to.equal(true);
        return new Promise((resolve) => (noted = resolve));
      },
    });
    await new Promise((resolve) => setTimeout(resolve, 100));
    expect(existsSync(sandbox().path('begun'))).to.equal(false);
    noted();
    expect((await result).trouble).to.equal(null);
    expect(existsSync(sandbox().path('begun'))).to.equal(true);

    const unnoted = await hook('touch unnoted', { onStarted: () => Promise.reject(new Error('no space')) });
    expect(unnoted.trouble).to.match(/it cannot begin: .*no space/);
    expect(existsSync(sandbox().path('unnoted'))).to.equal(false);
  });

  it('that talks without end is kept only in part, and not held up', async () => {
    const { trouble, output } = await hook('head -c 3000000 /dev/zero | tr "\\0" x');
    expect(trouble).to.equal(null);
    expect(output.length).to.equal(MAX_OUTPUT_BYTES);
  });

  it('that leaves something in the background is over when it is over itself', async () => {
    const started = performance.now();
    const { trouble } = await hook(`sleep 30 & echo $! > pid`);
    expect(trouble).to.equal(null);
    expect(performance.now() - started).to.be.lessThan(15_000);
    process.kill(Number(readFileSync(sandbox().path('pid'), 'utf8')));
  });
});

const isAlive = (pid: number): boolean => {
  try {
    // A zombie that nobody has waited for is gone all the same.
    return !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'));
  } catch {
    return false;
  }
};

describe('a command that freezes the ground under farcopy', () => {
  it('is seen by its text and the device of the folder', async () => {
    expect(frozenPlaces('fsfreeze -f /srv/a && fsfreeze --freeze "/srv/b c"')).to.deep.equal([
      '/srv/a',
      '/srv/b c',
    ]);
    expect(frozenPlaces('fsfreeze -u /srv/a')).to.deep.equal([]);
    expect(await freezeHazard('fsfreeze -f /tmp', [process.cwd(), '/tmp'])).to.match(/it freezes \/tmp/);
    expect(await freezeHazard('fsfreeze -f /proc', ['/tmp'])).to.equal(null);
    expect(await freezeHazard('fsfreeze -f /not/there', ['/tmp'])).to.equal(null);
  });
});
