import { expect } from 'chai';
import { mkdirSync, truncateSync, writeFileSync } from 'node:fs';
import { blockIndex } from '../../../protocol/units.js';
import type { StateInfo } from '../../../protocol/state.js';
import { GroupSeal } from '../../../src/consistency/group-seal.js';
import type { GroupStep, SealAttempt, VolumeService } from '../../../src/engine/volume-service.js';
import { VolumeHost } from '../../../src/host/volume-host.js';
import { systemClock } from '../../../src/platform/clock.js';
import { systemRandom } from '../../../src/platform/random.js';
import { NbdClient } from '../../support/nbd-client.js';
import { sandboxPerTest } from '../../support/sandbox.js';

const BLOCK = 4096;
const SIZE = 64 * BLOCK;

/** Three volumes: `first` and `third` share a thread, `second` has its own. */
describe('volumes that are sealed together', function () {
  this.timeout(60_000);
  const sandbox = sandboxPerTest();
  const hosts: VolumeHost[] = [];
  const volumes = new Map<string, VolumeService>();

  beforeEach(async () => {
    for (const [socket, names] of [
      ['a.sock', ['first', 'third']],
      ['b.sock', ['second']],
    ] as const) {
      const hosted = names.map((name) => {
        const device = sandbox().path(`${name}.img`);
        writeFileSync(device, '');
        truncateSync(device, SIZE);
        const folder = sandbox().path(`state-${name}`);
        mkdirSync(folder);
        return { name, device, blockSize: BLOCK, folder, beforeImageBudgetBytes: 1 << 30 };
      });
      const host = await VolumeHost.start({
        nbd: { kind: 'unix', path: sandbox().path(socket) },
        volumes: hosted,
      });
      hosts.push(host);
      for (const name of names) volumes.set(name, host.volume(name));
    }
  });
  afterEach(async () => {
    await Promise.all(hosts.splice(0).map((host) => host.close()));
    volumes.clear();
  });

  const volume = (name: string): VolumeService => {
    const found = volumes.get(name);
    if (found === undefined) throw new Error(`no volume ${name}`);
    return found;
  };
  /** `meddle` may change what a member does at a step. */
  const group = (meddle?: (name: string, step: GroupStep) => Promise<void>): GroupSeal =>
    new GroupSeal({
      name: 'books',
      members: [...volumes].map(([name, service]) => ({
        name,
        volume: {
          groupStep: async (step) => {
            await meddle?.(name, step);
            return service.groupStep(step);
          },
        },
      })),
      clock: systemClock,
      random: systemRandom,
    });
  const sealed = (attempt: SealAttempt): Readonly<Record<string, StateInfo>> => {
    if (attempt.kind !== 'sealed' || attempt.group === undefined) throw new Error(attempt.kind);
    return attempt.group;
  };
  /** The number in the first block of a state. */
  async function counterAt(name: string, state: StateInfo): Promise<number> {
    const part = await volume(name).collect({
      from: null,
      to: state.id,
      cursor: blockIndex(0),
      maxContentBytes: BLOCK,
    });
    expect(part.unavailable).to.deep.equal([]);
    return part.runs[0]?.start === 0 ? Buffer.from(part.content).readUInt32LE(0) : 0;
  }
  /** Writes a counter to the first, then to the second, then to the third, one after the other was answered. */
  async function count(signal: AbortSignal): Promise<number> {
    const clients = [
      await NbdClient.connect(sandbox().path('a.sock'), 'first'),
      await NbdClient.connect(sandbox().path('b.sock'), 'second'),
      await NbdClient.connect(sandbox().path('a.sock'), 'third'),
    ];
    let counter = 0;
    while (!signal.aborted) {
      counter++;
      for (const client of clients) {
        const block = Buffer.alloc(BLOCK, 1);
        block.writeUInt32LE(counter);
        await client.write(0, block);
      }
    }
    for (const client of clients) client.close();
    return counter;
  }

  it('show one instant of a writer that goes from one to the other, however often', async () => {
    const stop = new AbortController();
    const writing = count(stop.signal);
    let round = 0;
    // One of them steps later than the others, so that the writer comes by in between if it can.
    const books = group(async (name, { kind }) => {
      const isLate = name === ['first', 'second', 'third'][round % 3];
      if (isLate && (kind === 'hold' || kind === 'flip'))
        await new Promise((resolve) => setTimeout(resolve, 10));
    });
    let last = 0;
    for (; round < 24; round++) {
      const states = sealed(await books.sealIf({ grade: 'crash', pinAs: ['next:vault'] }, {}));
      expect(Object.keys(states).sort()).to.deep.equal(['first', 'second', 'third']);
      const bonds = Object.values(states).map(({ group: id, time }) => `${id} ${time}`);
      expect(new Set(bonds).size, 'one instant').to.equal(1);
      const [first, second, third] = [
        await counterAt('first', states['first'] as StateInfo),
        await counterAt('second', states['second'] as StateInfo),
        await counterAt('third', states['third'] as StateInfo),
      ];
      expect(first - second).to.be.within(0, 1);
      expect(second - third).to.be.within(0, 1);
      expect(first - third).to.be.within(0, 1);
      expect(third).to.be.at.least(last);
      last = first - 1;
    }
    stop.abort();
    expect(await writing).to.be.greaterThan(last);
  });

  it('are not sealed while one of them is not quiet, and writes go on at once', async () => {
    const client = await NbdClient.connect(sandbox().path('b.sock'), 'second');
    await client.write(0, Buffer.alloc(BLOCK, 7));
    const books = group();
    expect((await books.sealIf({ grade: 'quiet', pinAs: [] }, { quietMs: 1 })).kind).to.equal('not-quiet');
    await client.write(BLOCK, Buffer.alloc(BLOCK, 7));
    await client.flush();
    client.close();
    for (const { states } of await Promise.all([...volumes.values()].map((each) => each.describe()))) {
      expect(states).to.deep.equal([]);
    }
    expect((await books.sealIf({ grade: 'quiet', pinAs: [] }, { quietMs: 0 })).kind).to.equal('sealed');
  });

  it('begin again when one lets its writes go on before the last one holds its own', async () => {
    let slow = 1;
    const books = group(async (name, step) => {
      // Longer than the others hold theirs.
      if (name === 'second' && step.kind === 'hold' && slow-- > 0) await waitUntilLetGo('first');
    });
    const states = sealed(await books.sealIf({ grade: 'crash', pinAs: ['next:vault'] }, {}));
    expect(slow).to.be.at.most(-1);
    expect(Object.keys(states)).to.have.length(3);
    for (const [name, service] of volumes) {
      expect(
        (await service.describe()).states.map(({ id }) => id),
        'no other state',
      ).to.deep.equal([states[name]?.id]);
    }
  });

  it('are all left as they were when one of them fails, and can be sealed again', async () => {
    for (const kind of ['prepare', 'hold', 'flip'] as const) {
      const failing = group((name, step) =>
        name === 'third' && step.kind === kind
          ? Promise.reject(new Error('a broken disk'))
          : Promise.resolve(),
      );
      const failure = await failing.sealIf({ grade: 'crash', pinAs: ['next:vault'] }, {}).then(
        () => null,
        (error: unknown) => (error as Error).message,
      );
      expect(failure).to.equal('a broken disk');
      for (const service of volumes.values()) expect((await service.describe()).states).to.deep.equal([]);
      const client = await NbdClient.connect(sandbox().path('a.sock'), 'first');
      await client.write(0, Buffer.alloc(BLOCK, 7));
      client.close();
    }
    // Two at a time take their turns.
    const books = group();
    const both = await Promise.all([1, 2].map(() => books.sealIf({ grade: 'crash', pinAs: [] }, {})));
    expect(both.map(({ kind }) => kind)).to.deep.equal(['sealed', 'sealed']);
    expect((await volume('third').seal({ grade: 'crash', pinAs: [] })).ordinal).to.equal(2);
  });

  /** A write that was held is answered. */
  async function waitUntilLetGo(name: string): Promise<void> {
    const client = await NbdClient.connect(sandbox().path('a.sock'), name);
    // It is held for sure only once `hold` has been heard, which the answer to `describe` after it shows.
    await volume(name).describe();
    await client.write(0, Buffer.alloc(BLOCK, 9));
    client.close();
  }
});
