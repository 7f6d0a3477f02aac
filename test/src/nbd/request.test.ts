import { expect } from 'chai';
import fc from 'fast-check';
import { createHash } from 'node:crypto';
import { BufferPool } from '../../../src/nbd/buffer-pool.js';
import { ByteQueue } from '../../../src/nbd/byte-queue.js';
import { Errno, errnoOf } from '../../../src/nbd/errno.js';
import { MAX_REQUEST_BYTES, MAX_SKIPPED_BYTES } from '../../../src/nbd/limits.js';
import { RequestReader, type Request } from '../../../src/nbd/request-reader.js';
import { checkRequest, type RequestRules } from '../../../src/nbd/request.js';
import { Command, CommandFlag, REQUEST_BYTES } from '../../../src/nbd/wire.js';
import { FileError } from '../../../src/platform/files.js';
import { requestBytes, type RawRequest } from './client.js';
import { seeded } from './seed.js';

const RULES: RequestRules = {
  sizeBytes: 1 << 20,
  readOnly: false,
  structuredReplies: true,
  metaContexts: true,
};

const check = (request: RawRequest, rules: Partial<RequestRules> = {}): Errno =>
  checkRequest(
    { cookieHigh: 0, cookieLow: 1, flags: 0, offset: 0, length: 0, ...request },
    { ...RULES, ...rules },
  );

describe('the check of a request', () => {
  it('accepts what is within the export, to its last byte', () => {
    for (const command of [Command.read, Command.write, Command.trim, Command.cache, Command.writeZeroes]) {
      expect(check({ command, offset: (1 << 20) - 1, length: 1 })).to.equal(Errno.none);
    }
    expect(check({ command: Command.flush })).to.equal(Errno.none);
  });

  const refused: readonly [string, RawRequest, Partial<RequestRules>, Errno][] = [
    ['an unknown command', { command: 9, length: 1 }, {}, Errno.EINVAL],
    ['a flag of another command', { command: Command.read, flags: 2, length: 1 }, {}, Errno.EINVAL],
    [
      'FAST_ZERO, which is not offered',
      { command: Command.writeZeroes, flags: 16, length: 1 },
      {},
      Errno.EINVAL,
    ],
    [
      'DF without structured replies',
      { command: Command.read, flags: CommandFlag.df, length: 1 },
      { structuredReplies: false },
      Errno.EINVAL,
    ],
    [
      'BLOCK_STATUS without a context',
      { command: Command.blockStatus, length: 1 },
      { metaContexts: false },
      Errno.EINVAL,
    ],
    ['a write to a read-only export', { command: Command.write, length: 1 }, { readOnly: true }, Errno.EPERM],
    ['a trim of a read-only export', { command: Command.trim, length: 1 }, { readOnly: true }, Errno.EPERM],
    ['a flush with a length', { command: Command.flush, length: 1 }, {}, Errno.EINVAL],
    ['a read of nothing', { command: Command.read }, {}, Errno.EINVAL],
    [
      'a read longer than the maximum',
      { command: Command.read, length: MAX_REQUEST_BYTES + 1 },
      { sizeBytes: 2 ** 40 },
      Errno.EINVAL,
    ],
    [
      'an unfragmented read longer than the maximum',
      { command: Command.read, length: MAX_REQUEST_BYTES + 1, flags: CommandFlag.df },
      { sizeBytes: 2 ** 40 },
      Errno.EOVERFLOW,
    ],
    ['a read past the end', { command: Command.read, offset: 1 << 20, length: 1 }, {}, Errno.EINVAL],
    ['a write past the end', { command: Command.write, offset: 1 << 20, length: 1 }, {}, Errno.ENOSPC],
    ['zeroes past the end', { command: Command.writeZeroes, offset: 1, length: 1 << 20 }, {}, Errno.ENOSPC],
    ['an offset near 2^64', { command: Command.read, offset: 2 ** 64 - 1, length: 512 }, {}, Errno.EINVAL],
  ];
  for (const [what, request, rules, errno] of refused) {
    it(`refuses ${what}`, () => {
      expect(check(request, rules)).to.equal(errno);
    });
  }

  it('lets commands without payload be longer than the longest read', () => {
    const length = 0xffff_0000;
    expect(check({ command: Command.writeZeroes, length }, { sizeBytes: 2 ** 40 })).to.equal(Errno.none);
    expect(check({ command: Command.blockStatus, length }, { sizeBytes: 2 ** 40 })).to.equal(Errno.none);
  });
});

describe('the errno of a failure', () => {
  it('follows the code of volume, file and system errors; anything else is EIO', () => {
    const withCode = (code: unknown): Error => Object.assign(new Error('x'), { code });
    expect(errnoOf(withCode('read-only-device'))).to.equal(Errno.EPERM);
    expect(errnoOf(new FileError('no-space', '/x', 'full'))).to.equal(Errno.ENOSPC);
    expect(errnoOf(withCode('EDQUOT'))).to.equal(Errno.ENOSPC);
    expect(errnoOf(withCode('closed'))).to.equal(Errno.ESHUTDOWN);
    for (const odd of [withCode('toString'), withCode(5), withCode('io'), new Error('x'), 'text', null]) {
      expect(errnoOf(odd)).to.equal(Errno.EIO);
    }
  });
});

describe('the request reader', () => {
  const readAll = (chunks: readonly Buffer[], rules = RULES): (Request | 'broken')[] => {
    const input = new ByteQueue();
    const reader = new RequestReader(input, rules, new BufferPool());
    const found: (Request | 'broken')[] = [];
    for (const chunk of chunks) {
      input.push(chunk);
      for (;;) {
        const step = reader.next();
        if (step === 'more') break;
        found.push(step);
        if (step === 'broken') return found;
      }
    }
    return found;
  };

  const plain = (found: readonly (Request | 'broken')[]): unknown =>
    found.map((one) =>
      one === 'broken' ? one : [one.header, one.error, createHash('sha1').update(one.payload).digest('hex')],
    );

  it('does not copy a payload that came in one chunk', () => {
    const chunk = requestBytes({ command: Command.write, data: Buffer.alloc(100, 7) });
    const [request] = readAll([chunk]);
    expect(request !== 'broken' && request?.payload.buffer === chunk.buffer).to.equal(true);
  });

  it('tells the small writes that are next and all here, and takes none of them', () => {
    const write = (offset: number, length = 10): Buffer =>
      requestBytes({ command: Command.write, offset, data: Buffer.alloc(length) });
    const upcoming = (chunk: Buffer, most = 32, taken = 0): number[] => {
      const input = new ByteQueue();
      const reader = new RequestReader(input, RULES, new BufferPool());
      input.push(chunk.subarray(0, taken));
      if (taken > 0) expect(reader.next()).to.equal('more');
      input.push(chunk.subarray(taken));
      const found = reader.upcomingWrites(most).map(({ offset }) => offset);
      // The same requests follow.
      for (const offset of found) {
        const step = reader.next();
        expect(typeof step === 'object' && step.header.offset).to.equal(offset);
      }
      return found;
    };
    const three = Buffer.concat([write(1), write(2), write(3)]);
    expect(upcoming(three)).to.deep.equal([1, 2, 3]);
    expect(upcoming(three, 2)).to.deep.equal([1, 2]);
    expect(upcoming(three.subarray(0, -1))).to.deep.equal([1, 2]);
    expect(upcoming(three, 32, 30)).to.deep.equal([1, 2, 3], 'the first was waited for');
    for (const other of [
      requestBytes({ command: Command.read, length: 1 }),
      write(1 << 20),
      write(0, (64 << 10) + 1),
      requestBytes({ command: Command.read, length: 1, magic: 1 }),
    ]) {
      expect(upcoming(Buffer.concat([write(1), other, write(2)]))).to.deep.equal([1]);
    }
    const input = new ByteQueue();
    const reader = new RequestReader(input, RULES, new BufferPool());
    input.push(write(1 << 20, 100).subarray(0, 60));
    expect(reader.next()).to.equal('more');
    input.push(three);
    expect(reader.upcomingWrites(32)).to.deep.equal([], 'a refused one is being skipped');
  });

  it('skips the payload of a refused write and keeps step', () => {
    const found = readAll([
      requestBytes({ command: Command.write, offset: 1 << 20, cookie: 1, data: Buffer.alloc(5000) }),
      requestBytes({ command: Command.read, length: 1, cookie: 2 }),
    ]);
    expect(found.map((request) => request !== 'broken' && request.error)).to.deep.equal([
      Errno.ENOSPC,
      Errno.none,
    ]);
  });

  it('skips an over-long write up to a bound and breaks beyond it', () => {
    const tooLong = requestBytes({ command: Command.write, length: MAX_REQUEST_BYTES + 1 });
    const zeros = Buffer.alloc(1 << 20);
    const chunks = [tooLong, ...Array<Buffer>(32).fill(zeros), zeros.subarray(0, 1)];
    const next = requestBytes({ command: Command.flush, cookie: 2 });
    const found = readAll([...chunks, next]);
    expect(found.map((request) => request !== 'broken' && request.error)).to.deep.equal([
      Errno.EINVAL,
      Errno.none,
    ]);
    expect(readAll([requestBytes({ command: Command.write, length: MAX_SKIPPED_BYTES + 1 })])).to.deep.equal([
      'broken',
    ]);
  });

  it('breaks when a request does not start with its magic number', () => {
    expect(readAll([requestBytes({ command: Command.read, length: 1, magic: 1 })])).to.deep.equal(['broken']);
  });

  it('finds the same requests wherever the chunks are cut', () => {
    const request = fc.record({
      command: fc.constantFrom(...Object.values(Command)),
      cookie: fc.nat(),
      offset: fc.nat(1 << 21),
      data: fc.uint8Array({ maxLength: 200 }),
    });
    fc.assert(
      fc.property(fc.array(request, { maxLength: 10 }), fc.array(fc.nat(300)), (requests, cuts) => {
        const bytes = Buffer.concat(
          requests.map(({ data, ...rest }) =>
            requestBytes(
              rest.command === Command.write ? { ...rest, data } : { ...rest, length: data.byteLength },
            ),
          ),
        );
        const chunks: Buffer[] = [];
        let at = 0;
        for (const cut of cuts) chunks.push(bytes.subarray(at, (at += cut)));
        chunks.push(bytes.subarray(at));
        const whole = readAll([bytes]);
        expect(whole).to.have.lengthOf(requests.length);
        expect(plain(readAll(chunks))).to.deep.equal(plain(whole));
      }),
      seeded(),
    );
  });

  it('finds the same requests with long payloads put to their places, the next header behind', () => {
    const command = fc.constantFrom(Command.write, Command.write, Command.write, Command.read, Command.flush);
    const length = fc.oneof(fc.nat(300), fc.integer({ min: 65_000, max: 200_000 }));
    const part = fc.oneof(fc.nat(100), fc.nat(150_000));
    fc.assert(
      fc.property(
        fc.array(fc.record({ command, length, offset: fc.nat(1 << 20) }), { maxLength: 6 }),
        fc.array(part, { minLength: 1 }),
        (requests, parts) => {
          const bytes = Buffer.concat(
            requests.map(({ length, ...rest }, cookie) =>
              requestBytes(
                rest.command === Command.write
                  ? { ...rest, cookie, data: Buffer.alloc(length, cookie + 1) }
                  : { ...rest, cookie, length },
              ),
            ),
          );
          const input = new ByteQueue();
          const pool = new BufferPool();
          const reader = new RequestReader(input, RULES, pool);
          const found: Request[] = [];
          for (let at = 0, turn = 0; at < bytes.byteLength; turn++) {
            const part = bytes.subarray(at, at + (parts[turn % parts.length] ?? 0) + 1);
            const { wanted } = reader;
            const count = wanted === null ? part.byteLength : part.copy(wanted);
            if (wanted === null) input.push(Buffer.from(part));
            else reader.wasGiven(count);
            at += count;
            for (let next = reader.next(); next !== 'more'; next = reader.next()) {
              if (next === 'broken') throw new Error('lost step');
              found.push({ ...next, payload: Buffer.from(next.payload) });
              pool.give(next.payload);
              // By whoever takes that memory next.
              pool.give(pool.take(next.header.length + REQUEST_BYTES).fill(255));
            }
          }
          expect(plain(found)).to.deep.equal(plain(readAll([bytes])));
        },
      ),
      seeded(300),
    );
  });
});
