import { expect } from 'chai';
import { ProtocolError } from '../../../protocol/errors.js';
import { joinCode, separateCode, type SeparatedCode } from '../../../protocol/parcel/delta-code.js';
import { newPieces, writeDelta, type DeltaScript } from '../../../protocol/parcel/delta-script.js';
import { readDelta } from '../../../protocol/parcel/delta.js';
import { parseParcel } from '../../../protocol/parcel/parcel.js';
import { blockIndex } from '../../../protocol/units.js';
import { Seeded, seedOfThisRun } from '../../support/seeded.js';
import { hexOf } from '../../support/vectors.js';

const BLOCK = 512;
const RUNS = process.env['FARCOPY_SOAK'] === '1' ? 20_000 : 300;
const HEADS = ['e8', 'e9', '0f84', '488d05', '8b3d', '0fb615', '0fe8', '0fe9', '0f', '05'].map((head) =>
  Buffer.from(head, 'hex'),
);

/** What could be code: its opcodes are close together, and its operands near or not. */
function program(random: Seeded, length: number): Buffer {
  const parts: Uint8Array[] = [];
  for (let bytes = 0; bytes < length; bytes += parts.at(-1)!.byteLength) {
    const operand = Buffer.alloc(4);
    operand.writeInt32LE(random.below(2 ** random.pick([8, 16, 24, 31])) * random.pick([1, -1]));
    parts.push(
      Buffer.concat([
        random.pick(HEADS),
        random.chance(0.9) ? operand : random.bytes(1),
        random.bytes(random.below(6)),
      ]),
    );
  }
  return Buffer.concat(parts).subarray(0, length);
}

/** A script over some blocks with new bytes of many lengths, between copies of what was made before. */
function scriptOf(random: Seeded, content: Uint8Array): DeltaScript {
  const own = content.byteLength;
  const [literals, lengths, sources]: [number[], number[], number[]] = [[], [], []];
  let at = 0;
  while (random.chance(0.9)) {
    const literal = random.below(random.pick([4, 20, 40, 600]));
    const length = 1 + random.below(30);
    if (at + literal + length > own) break;
    at += literal;
    // The own blocks' base content is the content itself here: each copy is right.
    literals.push(literal);
    lengths.push(length);
    sources.push(at);
    at += length;
  }
  return {
    blockSize: BLOCK,
    runs: [{ start: blockIndex(7), count: own / BLOCK, zero: false }],
    base: [],
    parcels: [],
    content,
    literals: Uint32Array.from(literals),
    lengths: Uint32Array.from(lengths),
    sources: Uint32Array.from(sources),
    byteBefore: (copy, ahead) => content[sources[copy]! - ahead]!,
  };
}

const isBadParcel = (work: () => unknown): void => {
  expect(work).to.throw(ProtocolError).with.property('code', 'bad-parcel');
};

describe('machine code in a delta', () => {
  const seed = seedOfThisRun();

  it(`comes back as it was, between whatever copies (SEED=${seed})`, () => {
    const random = new Seeded(seed);
    let apart = 0;
    for (let i = 0; i < RUNS; i++) {
      const blocks = Array.from({ length: 1 + random.below(6) }, () =>
        random.chance(0.7) ? program(random, BLOCK) : random.bytes(BLOCK),
      );
      const content = Buffer.concat(blocks);
      const script = scriptOf(random, content);
      const form = writeDelta(script, 'separate');
      if (form === null) continue;
      apart++;
      const opened = readDelta(form);
      const base = Buffer.concat(
        opened.needs.base.flatMap(({ start, count }) =>
          content.subarray((start - 7) * BLOCK, (start - 7 + count) * BLOCK),
        ),
      );
      const made = parseParcel(opened.apply({ base, parcels: [] }));
      expect(Buffer.compare(made.content, content), `run ${i}`).to.equal(0);
    }
    expect(apart).to.be.greaterThan(RUNS / 2);
  });

  it('tells the same target in the same bytes, wherever it is called from', () => {
    const content = Buffer.alloc(4 * BLOCK, 0x90);
    for (let at = 0; at + 5 <= content.byteLength; at += 16) {
      content[at] = 0xe8;
      content.writeInt32LE(1000 - at, at + 1);
    }
    const pieces = { starts: Uint32Array.of(0), ends: Uint32Array.of(content.byteLength) };
    const separated = separateCode(content, pieces, BLOCK)!;
    expect(separated.code).to.deep.equal([{ start: 0, count: 4 }]);
    expect(separated.operands).to.have.length(0);
    expect(hexOf(separated.branches)).to.equal('0003e9'.repeat(128));
    expect(hexOf(separated.kept)).to.equal(`e800${'90'.repeat(11)}`.repeat(128));
  });

  it(`is not looked for in text, random bytes and numbers (SEED=${seed})`, () => {
    const random = new Seeded(seed);
    const text = Buffer.from('Was there a call to the cell? '.repeat(40)).subarray(0, 2 * BLOCK);
    const numbers = Buffer.alloc(2 * BLOCK);
    for (let i = 0; i < numbers.byteLength; i += 4) numbers.writeUInt32LE(i * 77, i);
    const content = Buffer.concat([text, random.bytes(64 * BLOCK), numbers, Buffer.alloc(BLOCK)]);
    const pieces = { starts: Uint32Array.of(0), ends: Uint32Array.of(content.byteLength) };
    expect(separateCode(content, pieces, BLOCK)).to.equal(null);
  });

  it(`is refused when its parts do not make its bytes (SEED=${seed})`, () => {
    const random = new Seeded(seed);
    const content = program(random, 4 * BLOCK);
    const pieces = newPieces(scriptOf(new Seeded(1), content));
    const good = separateCode(content, pieces, BLOCK)!;
    const join = (over: Partial<SeparatedCode>): Uint8Array => joinCode({ ...good, ...over }, pieces, BLOCK);
    expect(join({})).to.have.length(pieces.ends.reduce((sum, end, i) => sum + end - pieces.starts[i]!, 0));
    const one = Uint8Array.of(0);
    const shorter = (bytes: Uint8Array): Uint8Array => bytes.subarray(0, -1);
    const longer = (bytes: Uint8Array): Uint8Array => Buffer.concat([bytes, one]);
    for (const [from, to] of [
      ['kept', 'branches'],
      ['kept', 'operands'],
      ['branches', 'kept'],
      ['operands', 'kept'],
      ['branches', 'operands'],
      ['operands', 'branches'],
    ] as const) {
      isBadParcel(() => join({ [from]: shorter(good[from]), [to]: longer(good[to]) }));
    }
    isBadParcel(() => join({ code: [] }));
  });

  it('is refused outside of the blocks there are, and with bytes that nothing uses', () => {
    const content = program(new Seeded(5), 2 * BLOCK);
    const form = writeDelta(
      { ...scriptOf(new Seeded(1), content), literals: NONE, lengths: NONE, sources: NONE },
      'separate',
    )!;
    // The only run is at block 7, and comes right before the code: gap and count.
    const at = form.indexOf(7, 5);
    const changed = (offset: number, value: number): Buffer => {
      const copy = Buffer.from(form);
      copy[at + offset] = value;
      return copy;
    };
    expect(parseParcel(readDelta(form).apply({ base: Buffer.alloc(0), parcels: [] })).content).to.have.length(
      1024,
    );
    expect([form[at], form[at + 1], form[at + 2], form[at + 3]]).to.deep.equal([7, 4, 0, 2]);
    isBadParcel(() => readDelta(changed(3, 3)));
    isBadParcel(() => readDelta(changed(3, 0)));
    isBadParcel(() => readDelta(changed(2, 1)));
    isBadParcel(() => readDelta(changed(3, 1)));
    isBadParcel(() => readDelta(form.subarray(0, -1)));
    isBadParcel(() => readDelta(Buffer.concat([form, Buffer.alloc(1)])));
  });
});

const NONE = new Uint32Array();
