import { expect } from 'chai';
import { Volume } from '../../../src/engine/volume.js';
import { systemRandom } from '../../../src/platform/random.js';
import { MemoryFiles } from '../../support/memory-files.js';
import { VirtualClock } from '../../support/virtual-clock.js';

const SIZE = 1 << 20;
const BLOCK = 4096;

/** Volumes of one thread, each with a disk of its own whose syncs end when they are told to. */
class Disks {
  readonly clock = new VirtualClock();
  readonly files = new MemoryFiles();
  /** The syncs under way: whose, and what ends it. */
  readonly held: { readonly device: string; readonly end: () => void }[] = [];
  readonly volumes: Volume[] = [];
  isSlow = false;

  async add(name: string): Promise<Volume> {
    const { clock, files } = this;
    const device = `/${name}`;
    const image = await files.open(device, 'create');
    await image.truncate(SIZE);
    await image.close();
    const open = files.open.bind(files);
    files.open = async (path, mode) => {
      const file = await open(path, mode);
      if (path !== device) return file;
      const sync = file.sync.bind(file);
      file.sync = async () => {
        if (this.isSlow) await new Promise<void>((end) => this.held.push({ device, end }));
        await sync();
      };
      return file;
    };
    const volume = await Volume.open({
      ...{ name, device, blockSize: BLOCK, folder: `/state-${name}`, beforeImageBudgetBytes: 1 << 20 },
      ...{ files, clock, random: systemRandom, bootId: 'boot-1' },
    });
    this.volumes.push(volume);
    return volume;
  }

  endOne(): void {
    this.held.shift()?.end();
  }

  async close(): Promise<void> {
    this.isSlow = false;
    while (this.held.length > 0) this.endOne();
    for (const volume of this.volumes) await volume.close();
  }
}

describe('cooling in the background', () => {
  it('is of two volumes of a thread at once, however slow their disks are, and of the others when they are done', async () => {
    const disks = new Disks();
    for (const name of ['a', 'b', 'c', 'd']) {
      await (await disks.add(name)).backend.write(0, Buffer.alloc(BLOCK, 1), false);
    }
    disks.isSlow = true;
    await disks.clock.pass(120_000);
    expect(disks.held.map(({ device }) => device)).to.deep.equal(['/a', '/b']);
    disks.endOne();
    await disks.clock.until('a third one has its turn', () => disks.held.length === 2);
    expect(disks.held.map(({ device }) => device)).to.have.members(['/b', '/c']);
    disks.endOne();
    disks.endOne();
    await disks.clock.until('so has the fourth', () => disks.held.some(({ device }) => device === '/d'));
    await disks.close();
  });
});
