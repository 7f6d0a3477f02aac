import { expect } from 'chai';
import { createServer, type Socket } from 'node:net';
import { join } from 'node:path';
import { BufferPool } from '../../../src/nbd/buffer-pool.js';
import { Connection } from '../../../src/nbd/connection.js';
import { DEFAULT_LIMITS } from '../../../src/nbd/limits.js';
import { ReceiveBuffer } from '../../../src/nbd/receive-buffer.js';
import { MAX_IN_PLACE, ReplyBuffer } from '../../../src/nbd/reply-buffer.js';
import { Command } from '../../../src/nbd/wire.js';
import { systemClock } from '../../../src/platform/clock.js';
import { Seeded, seedOfThisRun } from '../../support/seeded.js';
import { Client } from './client.js';
import { MemoryExport } from './memory-export.js';
import { serving, testFolder } from './serving.js';

const sameMemory = (a: Buffer, b: Buffer): boolean => a.buffer === b.buffer;

describe('memory that is used again', () => {
  it('is lent to one at a time, comes back once, and only what is its own', () => {
    const pool = new BufferPool();
    const [one, other] = [pool.take(200_000), pool.take(200_000)];
    expect(one.byteLength).to.equal(200_000);
    expect(sameMemory(one, other)).to.equal(false);
    pool.give(one.subarray(5, 6));
    pool.give(one);
    pool.give(Buffer.alloc(200_000));
    const [again, fresh] = [pool.take(199_000), pool.take(199_000)];
    expect(sameMemory(again, one)).to.equal(true);
    expect(sameMemory(fresh, one)).to.equal(false);
    expect(sameMemory(fresh, other)).to.equal(false);
  });

  it('is kept up to a bound, and what nobody asks for is not in the way', () => {
    const pool = new BufferPool();
    const lent = Array.from({ length: 16 }, () => pool.take(1 << 20));
    for (const buffer of lent) pool.give(buffer);
    const another = pool.take(2 << 20);
    pool.give(another);
    expect(sameMemory(pool.take(2 << 20), another)).to.equal(true);
    const anew = pool.take(1 << 20);
    expect(lent.some((buffer) => sameMemory(buffer, anew))).to.equal(false);
    const huge = pool.take(32 << 20);
    pool.give(huge);
    expect(sameMemory(pool.take(32 << 20), huge)).to.equal(false);
  });

  it('for replies begins anew when all are sent, not while one is being made or sent', () => {
    const replies = new ReplyBuffer(new BufferPool());
    const first = replies.reserve(1000);
    replies.commit(1000);
    const sending = replies.take();
    const second = replies.reserve(1000);
    expect(second.byteOffset).to.equal(first.byteOffset + 1000);
    replies.detach(1000);
    replies.sent(sending);
    expect(replies.reserve(10).byteOffset).to.equal(first.byteOffset + 2000);
    replies.append(second);
    replies.sent(replies.take());
    expect(replies.reserve(10).byteOffset).to.equal(first.byteOffset);
    // What failed while it was made is never sent.
    replies.detach(10);
    replies.sent([replies.reserve(10).subarray(0, 0)]);
    expect(replies.reserve(10).byteOffset).to.equal(first.byteOffset);
  });

  it('for replies holds what is not sent apart, however many there are', () => {
    const replies = new ReplyBuffer(new BufferPool());
    const batches: Buffer[][] = [];
    for (let i = 0; i < 40; i++) {
      replies.reserve(MAX_IN_PLACE).fill(i);
      replies.commit(MAX_IN_PLACE);
      batches.push(replies.take());
    }
    batches.forEach((pieces, i) => {
      expect(pieces.every((piece) => piece.every((byte) => byte === i))).to.equal(true);
      replies.sent(pieces);
    });
  });

  it('for what is received leaves what is kept alone, and knows where the socket reads to', () => {
    const received = new ReceiveBuffer();
    received.next(true, false).fill(1, 0, 100);
    const kept = received.received(100);
    const underWay = received.next(false, false);
    received.keep(kept);
    // The socket has been given its room already.
    underWay.fill(2, 0, 50);
    expect(received.received(50).equals(Buffer.alloc(50, 2))).to.equal(true);
    received.next(true, false).fill(3);
    expect(kept.equals(Buffer.alloc(100, 1))).to.equal(true);
    expect(received.next(true, true).byteLength).to.be.lessThan(received.next(true, false).byteLength);
  });

  for (const how of ['into memory of ours', 'as Node hands it out'] as const) {
    it(`mixes no bytes up, read ${how}: all sorts of requests, at once or later, in any pieces`, async function () {
      this.timeout(60_000);
      const seed = seedOfThisRun();
      console.log(`      SEED=${seed}`);
      const random = new Seeded(seed);
      const disk = new MemoryExport({ sizeBytes: 4 << 20, later: 20_000 });
      let address;
      if (how === 'into memory of ours') {
        ({ address } = await serving([disk]));
      } else {
        address = { kind: 'unix', path: join(testFolder(), 's') } as const;
        const server = createServer({ pauseOnConnect: true, allowHalfOpen: true }, (socket: Socket) => {
          Object.assign(Reflect.get(socket, '_handle') as object, { useUserBuffer: undefined });
          const parts = { exports: () => [disk], snapshots: () => [], clock: systemClock };
          new Connection({ socket, ...parts, limits: DEFAULT_LIMITS, pool: new BufferPool() }).begin();
          server.close();
        }).listen(address.path);
        await new Promise((resolve) => server.once('listening', resolve));
      }
      const client = await Client.open(address, { structured: false });
      const model = Buffer.alloc(disk.bytes.byteLength);
      const slots = 16;
      for (let round = 0; round < 40; round++) {
        // Each request of a round has a part of the disk to itself, since their order is free.
        const part = model.byteLength / slots;
        const requests = Array.from({ length: slots }, (_, slot) => {
          const length = 1 + random.below(random.chance(0.5) ? 3000 : part);
          const offset = slot * part + random.below(part - length + 1);
          const isWrite = random.chance(0.6);
          const data = isWrite ? random.bytes(length) : Buffer.alloc(0);
          data.copy(model, offset);
          return { cookie: slot, offset, length, isWrite, data };
        });
        const sent = random.shuffle(requests);
        for (const { cookie, offset, length, isWrite, data } of sent) {
          if (isWrite) client.send({ command: Command.write, cookie, offset, data });
          else client.send({ command: Command.read, cookie, offset, length });
          if (random.chance(0.2)) await new Promise((resolve) => setImmediate(resolve));
        }
        for (let answered = 0; answered < slots; answered++) {
          const head = await client.take(16);
          const asked = requests[Number(head.readBigUInt64BE(8))];
          expect([head.readUInt32BE(4), asked === undefined]).to.deep.equal([0, false]);
          if (asked === undefined || asked.isWrite) continue;
          const { offset, length } = asked;
          const found = await client.take(length);
          expect(found.equals(model.subarray(offset, offset + length)), `round ${round}`).to.equal(true);
        }
        expect(disk.bytes.equals(model), `round ${round}`).to.equal(true);
      }
      client.socket.destroy();
    });
  }
});
