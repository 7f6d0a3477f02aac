import { expect } from 'chai';
import koffi from 'koffi';
import { descriptorOf } from '../../../src/nbd/descriptor.js';
import { Command } from '../../../src/nbd/wire.js';
import { must } from '../../support/program.js';
import { requires } from '../../support/requirements.js';
import { Seeded } from '../../support/seeded.js';
import { Client, requestBytes, type RawRequest } from './client.js';
import { MemoryExport } from './memory-export.js';
import { serving, testFolder } from './serving.js';

const KIB = 1024;
const SIOCOUTQ = 0x5411;

/** Bytes of kernel memory for what was sent on a Unix socket and not received yet. */
function notReceived(client: Client): number {
  const fd = descriptorOf(client.socket);
  if (fd === null) throw new Error('the client has no descriptor');
  const ioctl = koffi.load('libc.so.6').func('int ioctl(int, unsigned long, _Out_ int *)');
  const answer: [number] = [-1];
  if (ioctl(fd, SIOCOUTQ, answer) !== 0) throw new Error('SIOCOUTQ failed');
  return answer[0];
}

/** A disk that tells, of each write, what its client had sent by then and was still in the kernel. */
class Watched extends MemoryExport {
  client: Client | null = null;
  readonly left: number[] = [];

  override write(offset: number, from: Buffer, fua: boolean): void | Promise<void> {
    if (this.client !== null) this.left.push(notReceived(this.client));
    return super.write(offset, from, fua);
  }
}

const write = (cookie: number, offset: number, data: Uint8Array): RawRequest => ({
  command: Command.write,
  cookie,
  offset,
  data,
});

describe('what a client has sent behind a long write', () => {
  const seeded = new Seeded(11);
  const long = seeded.bytes(140 * KIB);
  const next = seeded.bytes(120 * KIB);

  /** Sends a long write and a third of the one behind it, then the rest. Answers what was left when each was carried out. */
  async function send(bytesInFlight: number): Promise<readonly number[]> {
    const disk = new Watched();
    const { address } = await serving([disk], { limits: { bytesInFlight } });
    const client = (disk.client = await Client.open(address));
    const all = Buffer.concat([requestBytes(write(1, 0, long)), requestBytes(write(2, 512 * KIB, next))]);
    const first = long.byteLength + 40 * KIB;
    client.socket.write(all.subarray(0, first));
    expect((await client.reply()).cookie).to.equal(1);
    client.socket.write(all.subarray(first));
    expect((await client.reply()).cookie).to.equal(2);
    expect(long.equals(disk.bytes.subarray(0, long.byteLength))).to.equal(true);
    expect(next.equals(disk.bytes.subarray(512 * KIB, 512 * KIB + next.byteLength))).to.equal(true);
    return disk.left;
  }

  it('is received before that is carried out, so that more of it can come meanwhile', async function () {
    if (process.platform !== 'linux') this.skip();
    expect((await send(16 << 20))[0]).to.equal(0);
  });

  it('waits in the kernel while as much is under way as may be', async function () {
    if (process.platform !== 'linux') this.skip();
    expect((await send(64 * KIB))[0]).to.be.greaterThan(30 * KIB);
  });

  it('leaves a payload alone that fills what was read to its end', async () => {
    const disk = new MemoryExport();
    const { address } = await serving([disk]);
    const client = await Client.open(address);
    const filling = seeded.bytes(128 * KIB - 28);
    client.send(write(1, 0, filling), write(2, 512 * KIB, next));
    for (const cookie of [1, 2]) expect((await client.reply()).cookie).to.equal(cookie);
    expect(filling.equals(disk.bytes.subarray(0, filling.byteLength))).to.equal(true);
    expect(next.equals(disk.bytes.subarray(512 * KIB, 512 * KIB + next.byteLength))).to.equal(true);
  });

  it('is left to a later turn when a client sends faster than is written, so that others have theirs', async function () {
    requires(this, { programs: ['fio'] });
    let [writes, most, total] = [0, 0, 0];
    class Counted extends MemoryExport {
      override write(): void {
        total++;
        most = Math.max(most, ++writes);
        // Longer than a client takes to send the next one.
        for (const end = performance.now() + 0.2; performance.now() < end;);
      }
    }
    const { uri } = await serving([new Counted({ sizeBytes: 16 << 20 })]);
    let isOver = false;
    const turn = (): void => {
      writes = 0;
      if (!isOver) setImmediate(turn);
    };
    turn();
    const job = ['--name=f', '--thread', '--rw=write', '--bs=72k', '--iodepth=64', '--size=16m'];
    const time = ['--time_based', '--runtime=1'];
    await must('fio', [...job, ...time, '--ioengine=nbd', `--uri=${uri}`], { cwd: testFolder() });
    isOver = true;
    expect(total).to.be.greaterThan(200);
    expect(most).to.be.lessThan(100);
  });

  for (const later of ['never', 'always', 200 * KIB] as const) {
    it(`arrives whole, whatever is sent in whatever pieces, answered later: ${later}`, async () => {
      const seed = Number(process.env['SEED'] ?? Math.trunc(Math.random() * 2 ** 31));
      console.log(`      SEED=${seed}`);
      const random = new Seeded(seed);
      const wanted = random.bytes(24 << 20);
      const disk = new MemoryExport({ sizeBytes: wanted.byteLength, later });
      const { address } = await serving([disk]);
      const client = await Client.open(address);
      const requests: RawRequest[] = [];
      for (let at = 0; at < wanted.byteLength;) {
        const most = random.below(3) === 0 ? 8 * KIB : 320 * KIB;
        const end = Math.min(wanted.byteLength, at + 1 + random.below(most));
        requests.push(write(requests.length, at, wanted.subarray(at, end)));
        if (random.below(4) === 0) {
          requests.push({ command: Command.read, cookie: requests.length, offset: at, length: 512 });
        }
        at = end;
      }
      const stream = Buffer.concat(requests.map(requestBytes));
      for (let at = 0; at < stream.byteLength;) {
        const end = at + 1 + random.below(random.below(2) === 0 ? 100 : 400 * KIB);
        client.socket.write(stream.subarray(at, end));
        if (random.below(4) === 0) await new Promise((resolve) => setImmediate(resolve));
        at = end;
      }
      const open = new Set(requests.keys());
      while (open.size > 0) {
        const { cookie, done, error } = await client.reply();
        expect(error).to.equal(0);
        if (done) open.delete(cookie);
      }
      expect(wanted.equals(disk.bytes)).to.equal(true);
    });
  }
});
