import { expect } from 'chai';
import * as fs from 'node:fs';
import { VolumeError, type VolumeErrorCode } from '../../../src/engine/errors.js';
import type { VolumeOptions } from '../../../src/engine/volume.js';
import { EngineBench } from './engine-bench.js';

async function refusal(opening: Promise<unknown>, code: VolumeErrorCode): Promise<VolumeError> {
  try {
    await opening;
  } catch (error) {
    expect(error).to.be.instanceOf(VolumeError);
    const refused = error as VolumeError;
    expect(refused.code).to.equal(code);
    expect(refused.message).not.to.include('\n');
    expect(refused.hint).to.be.a('string');
    return refused;
  }
  throw new Error(`opened, though it should be refused as ${code}`);
}

describe('opening a volume that cannot be one', () => {
  let bench: EngineBench;
  beforeEach(() => {
    bench = new EngineBench(1 << 20);
  });
  afterEach(() => bench.dispose());

  const refusedUntouched = async (
    code: VolumeErrorCode,
    options: Partial<VolumeOptions> = {},
  ): Promise<VolumeError> => {
    const found = await refusal(bench.open(options), code);
    expect(fs.existsSync(bench.folder)).to.equal(false, 'no state folder was made');
    return found;
  };

  it('a device that does not exist', async () => {
    await refusedUntouched('missing-device', { device: `${bench.root}/nothing` });
    expect(fs.existsSync(`${bench.root}/nothing`)).to.equal(false);
  });

  it('a folder, a character device', async () => {
    await refusedUntouched('missing-device', { device: bench.root });
    await refusedUntouched('missing-device', { device: '/dev/null' });
  });

  it('an empty file', async () => {
    fs.truncateSync(bench.image, 0);
    await refusedUntouched('bad-geometry');
  });

  it('a size that is not a multiple of the block size, with a size to enlarge it to', async () => {
    fs.truncateSync(bench.image, 10_000);
    const { hint } = await refusedUntouched('bad-geometry');
    expect(hint).to.include('truncate -s 12288');
    fs.truncateSync(bench.image, 3 * 1024);
    expect((await refusedUntouched('bad-geometry')).hint).to.include('such as 1024');
  });

  it('a block size that is not a power of two, too small, too large', async () => {
    for (const blockSize of [0, 100, 256, 4095, 6144, 2 << 20, Number.NaN]) {
      await refusedUntouched('bad-geometry', { blockSize });
    }
  });

  it('a file without write permission, even for root', async () => {
    fs.chmodSync(bench.image, 0o444);
    await refusedUntouched('read-only-device');
  });

  it('a state folder that another open volume has', async () => {
    await bench.open();
    const other = new EngineBench(1 << 20);
    try {
      await refusal(other.open({ folder: bench.folder }), 'in-use');
    } finally {
      await other.dispose();
    }
  });

  it('the state folder of a volume with another name, or set up with another block size', async () => {
    await bench.open();
    await bench.close();
    const before = snapshot(bench.folder);
    await refusal(bench.open({ name: 'other' }), 'wrong-device');
    await refusal(bench.open({ name: 'ledger', blockSize: 512 }), 'bad-geometry');
    expect(snapshot(bench.folder)).to.deep.equal(before);
  });

  it('a device that has shrunk', async () => {
    await bench.open();
    await bench.close();
    const before = snapshot(bench.folder);
    fs.truncateSync(bench.image, 1 << 19);
    await refusal(bench.open(), 'wrong-device');
    expect(snapshot(bench.folder)).to.deep.equal(before);
    fs.truncateSync(bench.image, 1 << 20);
  });

  it('damaged or missing records', async () => {
    await bench.open();
    await bench.close();
    for (const name of ['volume.json', 'epochs.json']) {
      const good = fs.readFileSync(bench.stateFile(name));
      for (const bad of [
        '',
        '{',
        '{"magic":"farcopy volume"}',
        good.toString().replace('"version": 1', '"version": 99'),
      ]) {
        fs.writeFileSync(bench.stateFile(name), bad);
        await refusal(bench.open(), 'bad-state');
      }
      fs.writeFileSync(bench.stateFile(name), good);
    }
    fs.rmSync(bench.stateFile('epochs.json'));
    await refusal(bench.open(), 'bad-state');
  });

  it('can be opened once the cause is gone, and the lock is free after each refusal', async () => {
    await bench.open();
    await bench.close();
    await refusal(bench.open({ name: 'other' }), 'wrong-device');
    const volume = await bench.open({ name: 'ledger' });
    expect((await volume.describe()).warnings).to.deep.equal([]);
  });
});

function snapshot(folder: string): Record<string, string> {
  return Object.fromEntries(
    fs.readdirSync(folder).map((name) => [name, fs.readFileSync(`${folder}/${name}`).toString('base64')]),
  );
}
