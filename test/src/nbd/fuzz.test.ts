import { expect } from 'chai';
import fc from 'fast-check';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { BufferPool } from '../../../src/nbd/buffer-pool.js';
import { ByteQueue } from '../../../src/nbd/byte-queue.js';
import { Handshake, type Session } from '../../../src/nbd/handshake.js';
import { MAX_OPTION_BYTES, MAX_REQUEST_BYTES } from '../../../src/nbd/limits.js';
import { ReplyBuffer } from '../../../src/nbd/reply-buffer.js';
import { RequestReader } from '../../../src/nbd/request-reader.js';
import { Transmission } from '../../../src/nbd/transmission.js';
import { Command, Option, OPTION_HEADER_BYTES, REQUEST_BYTES } from '../../../src/nbd/wire.js';
import { FUZZ_CASES, fuzzTimeout } from '../../support/fuzz-cases.js';
import { Client, contextData, infoData, optionRequest, requestBytes, uint32 } from './client.js';
import { MemoryExport } from './memory-export.js';
import { seeded } from './seed.js';
import { serving } from './serving.js';

/** Conversations over a real socket, which cost the most. */
const CONVERSATIONS = Math.ceil(FUZZ_CASES / 40);
/** What the process may have grown by, with everything collected: far below what a leak of a case would add up to. */
const GROWTH_BYTES = 16 << 20;

/** A valid conversation or noise, cut into chunks and with some bytes changed. */
function damaged(messages: fc.Arbitrary<Buffer>): fc.Arbitrary<Buffer[]> {
  const noise = fc.uint8Array({ maxLength: 64 }).map((bytes) => Buffer.from(bytes));
  return fc
    .record({
      messages: fc.array(fc.oneof({ weight: 9, arbitrary: messages }, { weight: 1, arbitrary: noise }), {
        maxLength: 6,
      }),
      changes: fc.array(fc.record({ at: fc.nat(400), value: fc.nat(255) }), { maxLength: 3 }),
      cut: fc.nat(200),
    })
    .map(({ messages: parts, changes, cut }) => {
      const bytes = Buffer.concat(parts);
      for (const { at, value } of changes) if (at < bytes.byteLength) bytes[at] = value;
      return [bytes.subarray(0, cut), bytes.subarray(cut)];
    });
}

const names = fc.constantFrom('', 'disk', 'other', 'x'.repeat(5000));
const queries = fc.array(
  fc.constantFrom('base:allocation', 'base:', 'qemu:', 'qemu:dirty-bitmap:farcopy', 'x:y', ''),
  { maxLength: 3 },
);
const option = fc.oneof(
  fc
    .tuple(fc.constantFrom(Option.info, Option.go), names, fc.array(fc.nat(5), { maxLength: 3 }))
    .map(([kind, name, infos]) => optionRequest(kind, infoData(name, ...infos))),
  fc
    .tuple(fc.constantFrom(Option.listMetaContext, Option.setMetaContext), names, queries)
    .map(([kind, name, asked]) => optionRequest(kind, contextData(name, ...asked))),
  fc.tuple(fc.nat(12), fc.uint8Array({ maxLength: 20 })).map(([kind, data]) => optionRequest(kind, data)),
  names.map((name) => optionRequest(Option.exportName, Buffer.from(name))),
  fc.constant(optionRequest(Option.structuredReply)),
);
const handshakeBytes = fc
  .tuple(fc.constantFrom(0, 1, 2, 3, 3, 3, 7), damaged(option))
  .map(([flags, chunks]) => [uint32(flags), ...chunks]);

const SIZE = 1 << 16;
const request = fc
  .record({
    command: fc.oneof(fc.constantFrom(...Object.values(Command)), fc.nat(0xffff)),
    flags: fc.oneof(fc.constant(0), fc.nat(0x1f)),
    cookie: fc.nat(),
    offset: fc.oneof(fc.nat(SIZE), fc.constantFrom(SIZE - 1, 2 ** 32, 2 ** 53 - 1)),
    length: fc.oneof(fc.nat(300), fc.constantFrom(SIZE, MAX_REQUEST_BYTES + 1, 0xffff_ffff)),
  })
  .map(({ length, ...rest }) =>
    requestBytes(
      rest.command === Command.write && length < SIZE
        ? { ...rest, data: Buffer.alloc(length, 1) }
        : { ...rest, length },
    ),
  );

/** Bytes in use by what can still be reached. */
function reachableBytes(): number {
  setFlagsFromString('--expose-gc');
  (runInNewContext('gc') as () => void)();
  const { heapUsed, arrayBuffers } = process.memoryUsage();
  return heapUsed + arrayBuffers;
}

describe('fuzz: random bytes', function () {
  this.timeout(fuzzTimeout());

  it('in the handshake never crash it, and each step answers no more than it may', () => {
    const disk = new MemoryExport({ sizeBytes: SIZE });
    fc.assert(
      fc.property(handshakeBytes, (chunks) => {
        const handshake = new Handshake(() => [disk]);
        const input = new ByteQueue();
        for (const chunk of chunks) {
          input.push(chunk);
          for (let steps = 0; ; steps++) {
            expect(steps).to.be.lessThan(300);
            const step = handshake.next(input);
            if (step.kind === 'more') {
              expect(input.length).to.be.lessThan(OPTION_HEADER_BYTES + MAX_OPTION_BYTES);
              break;
            }
            expect(step.bytes.byteLength).to.be.lessThan(10_000);
            if (step.kind !== 'reply') return;
          }
        }
      }),
      seeded(FUZZ_CASES),
    );
  });

  it('in the transmission phase never crash it, and every request gets its reply', () => {
    const disk = new MemoryExport({ sizeBytes: SIZE });
    const session: Session = { backend: disk, structuredReplies: true, contexts: [] };
    fc.assert(
      fc.property(damaged(request), fc.boolean(), (chunks, structuredReplies) => {
        const pool = new BufferPool();
        const input = new ByteQueue();
        const replies = new ReplyBuffer(pool);
        const transmission = new Transmission(
          { ...session, structuredReplies },
          replies,
          pool,
          () => undefined,
        );
        const rules = { sizeBytes: SIZE, readOnly: false, structuredReplies, metaContexts: false };
        const reader = new RequestReader(input, rules, pool);
        disk.calls.length = 0;
        for (const chunk of chunks) {
          input.push(chunk);
          for (;;) {
            const step = reader.next();
            if (step === 'more') {
              expect(input.length).to.be.lessThan(REQUEST_BYTES + (64 << 10));
              break;
            }
            if (step === 'broken' || step.header.command === Command.disconnect) return;
            const before = replies.length;
            transmission.start(step);
            expect(replies.length).to.be.greaterThan(before);
            replies.take();
          }
        }
        expect(disk.calls.every((call) => call.offset + call.length <= SIZE)).to.equal(true);
      }),
      seeded(FUZZ_CASES),
    );
  });

  it('on a socket leave the server serving and no larger, without connections left over', async () => {
    const disk = new MemoryExport({ sizeBytes: SIZE });
    const { address, server } = await serving([disk], { limits: { clients: 8 } });
    const conversation = fc.tuple(handshakeBytes, fc.boolean(), damaged(request));
    const sizes: number[] = [];
    let conversations = 0;
    await fc.assert(
      fc.asyncProperty(conversation, async ([handshake, valid, requests]) => {
        const client = Client.raw(address);
        await client.take(18);
        const opening = valid ? [uint32(3), optionRequest(Option.go, infoData('disk'))] : handshake;
        client.socket.write(Buffer.concat([...opening, ...requests]));
        client.socket.end();
        client.socket.resume();
        await client.closed();
        disk.calls.length = 0;
        if (++conversations === Math.ceil(CONVERSATIONS / 4)) sizes.push(reachableBytes());
      }),
      seeded(CONVERSATIONS),
    );
    sizes.push(reachableBytes());
    expect(sizes[1]! - sizes[0]!).to.be.lessThan(GROWTH_BYTES);
    const client = await Client.open(address);
    expect((await client.ask({ command: Command.flush })).error).to.equal(0);
    expect(server.clientsOf('disk')).to.equal(1);
  });
});
