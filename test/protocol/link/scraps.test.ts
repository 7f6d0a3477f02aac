import { expect } from 'chai';
import { crc32 } from 'node:zlib';
import { cobsEncode, cobsSalvage } from '../../../protocol/framing/cobs.js';
import { MAX_ENCODED_FRAME, MAX_SEGMENT } from '../../../protocol/framing/limits.js';
import type { DamagedSegment } from '../../../protocol/link/damaged-frame.js';
import type { LinkEvent } from '../../../protocol/link/link-event.js';
import { MAX_RECALL_RUNS, MAX_SCRAP_PEERS, MAX_SCRAPS } from '../../../protocol/link/limits.js';
import { readPieces, writePiece, type Piece } from '../../../protocol/link/pieces.js';
import { blocksIn, recallDigest, SCRAP_BLOCK } from '../../../protocol/link/scrap-blocks.js';
import { ScrapBook, Scraps } from '../../../protocol/link/scraps.js';
import { SegmentReceiver } from '../../../protocol/link/segment-receiver.js';
import { SegmentSender } from '../../../protocol/link/segment-sender.js';
import { WireWriter } from '../../../protocol/link/wire.js';
import { millis, parcelId, type ParcelId } from '../../../protocol/units.js';
import { NullModem } from '../../support/null-modem.js';
import { Seeded, seedOfThisRun } from '../../support/seeded.js';
import { expectReceived, randomParcel, runUntilHeld, stream } from './parcels.js';

const idOf = (n: number): ParcelId => parcelId(n.toString(16).padStart(32, '0'));
const now = millis(0);
const crc = (bytes: Uint8Array): number => crc32(bytes);
/** Half a checksum, of which the blocks of a scrap get nothing: all of them seem whole. */
const blind = (bytes: Uint8Array): number => (crc32(bytes) & 0xffff0000) >>> 0;

const written = (piece: Piece): Uint8Array => {
  const writer = new WireWriter(2000);
  writePiece(writer, piece);
  return writer.finish();
};

type ScrapPiece = Piece & { readonly kind: 'scrap' };

/** A damaged frame as read from its front. */
const seeming = (frame: number, handle: number, offset: number, bytes: Uint8Array): DamagedSegment => ({
  frame,
  handle,
  offset,
  bytes,
});

/** A sender whose first frame of `parcel` comes damaged, as `came`, at a receiver that tells of it. */
function damaged(
  parcel: Uint8Array,
  came: Uint8Array,
  checksum = crc,
): { sender: SegmentSender; receiver: SegmentReceiver; events: LinkEvent[]; scrap: ScrapPiece } {
  const events: LinkEvent[] = [];
  const sender = new SegmentSender(() => undefined, checksum);
  const receiver = new SegmentReceiver((event) => events.push(event), checksum);
  sender.queue(idOf(1), parcel, []);
  sender.take(now, 0, came.length);
  receiver.handleAnnounce(0, 0, idOf(1));
  receiver.expect(idOf(1), parcel.length, []);
  expect(receiver.handleDamaged(seeming(0, 0, 0, came))).to.equal(true);
  return { sender, receiver, events, scrap: receiver.takeScraps()[0] as ScrapPiece };
}

const deliveredIn = (events: readonly LinkEvent[]): readonly (readonly [number, number])[] =>
  events.flatMap((event) => (event.kind === 'segment' ? [[event.offset, event.bytes.length] as const] : []));

describe('what is left of a damaged frame', () => {
  const seed = seedOfThisRun();

  it(`is read up to the damage (SEED=${seed})`, () => {
    const random = new Seeded(seed);
    for (let round = 0; round < 100; round++) {
      const body = random.bytes(1 + random.below(1200));
      if (round % 2 === 0) body.fill(7, 0, random.below(body.length));
      const encoded = cobsEncode(body);
      expect(Buffer.compare(cobsSalvage(encoded), body)).to.equal(0);
      const cut = random.below(encoded.length);
      const head = cobsSalvage(encoded.subarray(0, cut));
      expect(Buffer.compare(head, body.subarray(0, head.length))).to.equal(0);
      expect(head.length).to.be.at.least(cut - 2 - Math.floor(cut / 254));
    }
  });

  it('is not delivered until its digest comes, and is then not sent again', () => {
    const parcel = new Seeded(seed).bytes(2000);
    const came = Uint8Array.from(parcel);
    came.fill(0, 600, 700);
    const { sender, receiver, events, scrap } = damaged(parcel, came);
    expect(deliveredIn(events)).to.deep.equal([]);
    const unheard = receiver.report(now).parcels[0];
    expect(unheard?.kind === 'part' && unheard.runs, 'nothing is reported as held').to.deep.equal([]);
    expect(sender.handleScraps([scrap])).to.deep.equal([{ content: 2000, lost: true, share: 0 }]);
    const recall = sender.takeRecall(now, 1)!;
    expect(recall.bytes).to.equal(2000 - SCRAP_BLOCK);
    expect(sender.take(now, 2, 2000)).to.include({ offset: 512, repeated: SCRAP_BLOCK });
    receiver.noteFrame(now, 1);
    receiver.handleRecall(1, recall.piece);
    expect(deliveredIn(events)).to.deep.equal([
      [0, 512],
      [768, 1232],
    ]);
    for (const [offset, length] of deliveredIn(events)) receiver.kept(idOf(1), offset, offset + length);
    const reported = receiver.report(now).parcels[0];
    expect(reported?.kind === 'part' && reported.runs).to.deep.equal([512, 256, 1232]);
  });

  it('counts for nothing when the digest does not fit, also when its checksums do', () => {
    const parcel = new Seeded(seed).bytes(2000);
    const came = Uint8Array.from(parcel);
    came[700]! ^= 1;
    const { sender, receiver, events, scrap } = damaged(parcel, came, blind);
    sender.handleScraps([scrap]);
    const recall = sender.takeRecall(now, 1)!;
    expect(recall.bytes).to.equal(2000);
    receiver.noteFrame(now, 1);
    receiver.handleRecall(1, recall.piece);
    expect(deliveredIn(events)).to.deep.equal([]);
    sender.handleReport(receiver.report(now));
    // It may have been lost with its frame; not a second time.
    const again = sender.takeRecall(now, 2)!;
    receiver.noteFrame(now, 2);
    receiver.handleRecall(2, again.piece);
    expect(deliveredIn(events)).to.deep.equal([]);
    sender.handleReport(receiver.report(now));
    expect(sender.takeRecall(now, 3)).to.equal(undefined);
    expect(sender.take(now, 3, 2000)).to.include({ offset: 0, repeated: 2000 });
  });

  it('is recalled once more when the recall was lost with its frame', () => {
    const parcel = new Seeded(seed).bytes(3000);
    const { sender, receiver, events, scrap } = damaged(parcel, parcel.subarray(0, 2560));
    sender.handleScraps([scrap]);
    expect(sender.takeRecall(now, 1)?.bytes).to.equal(2560);
    sender.take(now, 1, 440);
    const second = {
      ...scrap,
      frame: 1,
      offset: 2560,
      length: 256,
      checks: [crc(parcel.subarray(2560, 2816)) % 65536],
    };
    sender.handleScraps([second]);
    const again = sender.takeRecall(now, 2)!;
    receiver.noteFrame(now, 2);
    receiver.handleRecall(2, again.piece);
    expect(deliveredIn(events)).to.deep.equal([[0, 2560]]);
  });

  it('is a reason for shorter frames only as far as more is lost than any damage costs', () => {
    const parcel = new Seeded(seed).bytes(4096);
    const came = Uint8Array.from(parcel);
    came.fill(0, 256, 256 + 4 * SCRAP_BLOCK);
    const { sender, scrap } = damaged(parcel, came);
    expect(sender.handleScraps([scrap])).to.deep.equal([{ content: 4096, lost: true, share: 512 / 4096 }]);
  });

  it('is not asked for where the sender has sent it again meanwhile, or it is held', () => {
    const parcel = new Seeded(seed).bytes(1000);
    const again = damaged(parcel, parcel);
    again.sender.handleReport({ upTo: 0, seen: 0, delay: 0, repaired: 0, parcels: [] });
    again.sender.take(now, 1, 1000);
    again.sender.handleScraps([{ ...again.scrap, frame: 0 }]);
    expect(again.sender.takeRecall(now, 2)).to.equal(undefined);

    const held = damaged(parcel, parcel);
    held.receiver.kept(idOf(1), 0, 1000);
    expect(held.receiver.handleDamaged(seeming(1, 0, 0, parcel))).to.equal(false);
    held.sender.handleReport(held.receiver.report(now));
    expect(held.sender.handleScraps([held.scrap])).to.deep.equal([]);
  });

  it('of no parcel that is expected, beyond its end, or too short is not kept', () => {
    const { receiver } = damaged(new Uint8Array(1000), new Uint8Array(1000));
    expect(receiver.handleDamaged(seeming(1, 9, 0, new Uint8Array(500)))).to.equal(false);
    expect(receiver.handleDamaged(seeming(1, 0, 1000, new Uint8Array(500)))).to.equal(false);
    expect(receiver.handleDamaged(seeming(1, 0, 0, new Uint8Array(SCRAP_BLOCK - 1)))).to.equal(false);
    expect(receiver.handleDamaged(seeming(1, 0, 1000 - SCRAP_BLOCK, new Uint8Array(9000)))).to.equal(true);
    const told = receiver.takeScraps()[0];
    expect(told?.length).to.equal(SCRAP_BLOCK);
  });

  it('is cut to the longest segment, or the sender would take its mention for a breach of the rules', () => {
    const { receiver } = damaged(new Uint8Array(2 * MAX_SEGMENT), new Uint8Array(MAX_SEGMENT + 250));
    expect(receiver.handleDamaged(seeming(1, 0, 5, new Uint8Array(MAX_SEGMENT + 1)))).to.equal(true);
    const told = receiver.takeScraps()[0] as ScrapPiece;
    expect(told.length).to.equal(MAX_SEGMENT);
    expect(readPieces(written(told))).to.deep.equal([told]);
  });

  it('is told of only while it is kept, however many there are before the next report', () => {
    const { receiver } = damaged(new Uint8Array(9000), new Uint8Array(1000));
    for (let i = 0; i < 50; i++) receiver.handleDamaged(seeming(i, 0, i * 100, new Uint8Array(500)));
    expect(receiver.scraps.due).to.equal(MAX_SCRAPS);
  });

  it('is not told of when its bytes have come after all, or its parcel is not wanted any more', () => {
    const parcel = new Seeded(seed).bytes(1000);
    const { receiver } = damaged(parcel, parcel);
    expect(receiver.handleDamaged(seeming(1, 0, 0, parcel))).to.equal(true);
    receiver.handleSegment(1, 0, 0, parcel);
    expect(receiver.takeScraps()[0]).to.equal(undefined);
    const refused = damaged(parcel, parcel).receiver;
    refused.handleDamaged(seeming(1, 0, 0, parcel));
    refused.refuse(idOf(1));
    expect(refused.takeScraps()[0]).to.equal(undefined);
  });

  it('is no part of the frame that recalls it, when a round trip is measured by that', () => {
    const parcel = new Seeded(seed).bytes(3000);
    const { sender, scrap } = damaged(parcel, parcel.subarray(0, 2000));
    sender.handleScraps([scrap]);
    sender.takeRecall(millis(5), 1);
    expect(sender.unseen).to.deep.equal({ at: 5, content: 0 });
    sender.take(millis(5), 1, 512);
    expect(sender.unseen).to.deep.equal({ at: 5, content: 512 });
    const report = { upTo: 0, seen: 1, delay: 0, repaired: 0, parcels: [] };
    expect(sender.handleReport(report).answers).to.deep.equal({ at: 5, content: 512 });
  });

  it('that says more than its frame can have carried does not count as less than no loss', () => {
    const parcel = new Seeded(seed).bytes(4000);
    const { sender, scrap } = damaged(parcel, parcel.subarray(0, 512));
    const checks = Array.from(
      { length: blocksIn(4000) },
      (_, i) => crc(parcel.subarray(256 * i, 256 * i + 256)) % 65536,
    );
    expect(sender.handleScraps([{ ...scrap, length: 4000, checks }])[0]?.share).to.equal(0);
  });

  it('stands on the wire as PROTOCOL.md says, and one more than its bounds is refused', () => {
    const scrap: Piece = {
      kind: 'scrap',
      frame: 6,
      parcel: idOf(0xab),
      offset: 300,
      length: 257,
      checks: [1, 0xfffe],
    };
    expect(Buffer.from(written(scrap)).toString('hex')).to.equal(
      `0907${'ab'.padStart(32, '0')}ac0281020001fffe`,
    );
    expect(readPieces(written(scrap))).to.deep.equal([scrap]);
    const earlier: Piece = { ...scrap, frame: undefined };
    expect(readPieces(written(earlier))).to.deep.equal([earlier]);
    const recall: Piece = {
      kind: 'recall',
      handle: 1,
      offset: 300,
      runs: [2, 1, 3],
      digest: new Uint8Array(32).fill(9),
    };
    expect(Buffer.from(written(recall)).toString('hex')).to.equal(`0a01ac0203020103${'09'.repeat(32)}`);
    expect(readPieces(written(recall)).map(({ kind }) => kind)).to.deep.equal(['recall']);

    const most = { ...scrap, length: MAX_SEGMENT, checks: new Array<number>(blocksIn(MAX_SEGMENT)).fill(5) };
    expect(readPieces(written(most))).to.deep.equal([most]);
    const runs = new Array<number>(MAX_RECALL_RUNS).fill(blocksIn(MAX_SEGMENT));
    expect(readPieces(written({ ...recall, runs }))).to.have.length(1);
    for (const over of [
      written({ ...most, length: MAX_SEGMENT + 1, checks: [...most.checks, 5] }),
      written({ ...recall, runs: [...runs, 1] }),
      written({ ...recall, runs: [blocksIn(MAX_SEGMENT) + 1] }),
      written(scrap).subarray(0, -1),
      written(recall).subarray(0, -1),
    ]) {
      expect(() => readPieces(over))
        .to.throw()
        .with.property('code', 'bad-message');
    }
  });

  it('is bounded, in scraps and in peers, and the oldest makes room', () => {
    const scraps = new Scraps();
    for (let i = 0; i <= MAX_SCRAPS; i++)
      scraps.keep({ parcel: idOf(1), offset: i * 1000, bytes: new Uint8Array(1000) });
    expect(scraps.of(idOf(1)).map(({ offset }) => offset)).to.deep.equal([1000, 2000, 3000, 4000]);
    const book = new ScrapBook();
    const keyOf = (n: number): Uint8Array => new Uint8Array(32).fill(n);
    for (let i = 0; i < MAX_SCRAP_PEERS; i++)
      book.of(keyOf(i)).keep({ parcel: idOf(i), offset: 0, bytes: new Uint8Array(1) });
    book.of(keyOf(0));
    book.of(keyOf(MAX_SCRAP_PEERS));
    expect(book.of(keyOf(0)).of(idOf(0)), 'asked for lately').to.have.length(1);
    expect(book.of(keyOf(1)).of(idOf(1)), 'the oldest').to.have.length(0);
  });

  it('is of its own peer: another one cannot have it', () => {
    const book = new ScrapBook();
    book.of(new Uint8Array(32)).keep({ parcel: idOf(1), offset: 0, bytes: new Uint8Array(300) });
    const other = new SegmentReceiver(() => undefined, crc);
    other.adoptScraps(book.of(new Uint8Array(32).fill(1)));
    other.expect(idOf(1), 1000, []);
    expect(other.scraps.isDue).to.equal(false);
    const digest = recallDigest([new Uint8Array(256)]);
    other.handleAnnounce(0, 0, idOf(1));
    other.handleRecall(0, { kind: 'recall', handle: 0, offset: 0, runs: [1], digest });
    expect(other.isSettled).to.equal(true);
  });
});

describe('a frame that is cut off', () => {
  const seed = seedOfThisRun();

  it(`by an outage is sent only from there on (SEED=${seed})`, () => {
    const modem = new NullModem({ seed, line: { baud: 57600 } });
    const parcel = randomParcel(modem, 200_000);
    stream(modem, parcel);
    modem.runUntil(() => modem.out.bytes > 60_000);
    modem.runFor(700);
    const before = modem.primary.link.stats.payloadRecalled;
    modem.fail(5000);
    runUntilHeld(modem);
    expectReceived(modem, parcel);
    expect(before).to.equal(0);
    expect(modem.primary.link.stats.payloadRecalled, 'of the 4 KB that had come').to.be.above(3500);
  });

  it(`by a hang-up is sent in the next call only from there on (SEED=${seed})`, () => {
    const scraps = new ScrapBook();
    const line = { baud: 57600 };
    const first = new NullModem({ seed, line, backup: { scraps } });
    const parcel = randomParcel(first, 150_000);
    stream(first, parcel);
    first.runUntil(() => first.out.bytes > 60_000);
    first.runFor(700);
    first.hangUp();
    const half = first.backup.link.stats.payloadReceived;
    const second = new NullModem({ seed: seed + 1, line, backup: { scraps }, keys: first.keys });
    second.backup.received.set(parcel.id, first.backup.received.get(parcel.id)!);
    stream(second, parcel, [{ start: 0, end: half }]);
    runUntilHeld(second);
    expectReceived(second, parcel);
    expect(second.primary.link.stats.payloadRecalled).to.be.above(2500);
    expect(second.primary.link.stats.payloadSent).to.be.below(150_000 - half - 2500);
  });

  it(`and goes on as the next one, as if they were one that is longer than any, ends no session (SEED=${seed})`, () => {
    let first: Uint8Array | undefined;
    let joined = 0;
    const tap = (frame: Uint8Array): Uint8Array[] => {
      if (joined > 2 || frame.length < 12_000) return [frame];
      if (first === undefined) {
        first = frame;
        return [];
      }
      const whole = Buffer.concat([first.subarray(0, -1), frame]);
      first = undefined;
      joined++;
      return [Buffer.concat([whole.subarray(0, MAX_ENCODED_FRAME - 100), whole.subarray(-100)])];
    };
    const modem = new NullModem({ seed, line: { baud: 460_800, latency: 5 }, out: { tap } });
    const parcel = randomParcel(modem, 600_000);
    stream(modem, parcel);
    runUntilHeld(modem);
    expectReceived(modem, parcel);
    expect(joined).to.be.above(0);
    expect(modem.primary.of('closed')).to.deep.equal([]);
    expect(modem.primary.link.stats.payloadRecalled).to.be.above(10_000);
  });

  it(`or changed in its midst, again and again, and whatever the checksums say, brings nothing wrong (SEED=${seed})`, () => {
    for (const checksum of [crc, blind]) {
      const random = new Seeded(seed);
      const tap = (frame: Uint8Array): Uint8Array[] => {
        if (frame.length < 600 || random.chance(0.7)) return [frame];
        if (random.chance(0.3)) return [frame.subarray(0, random.below(frame.length))];
        const at = random.below(frame.length - 50);
        if (random.chance(0.5)) return [Buffer.concat([frame.subarray(0, at), frame.subarray(at + 40)])];
        return [frame.map((byte, index) => (index >= at && index < at + 40 ? byte ^ 0x55 || 1 : byte))];
      };
      const options = { crc32: checksum };
      const modem = new NullModem({
        seed,
        line: { baud: 57600, latency: 40 },
        out: { tap },
        primary: options,
        backup: options,
      });
      const parcel = randomParcel(modem, 150_000);
      stream(modem, parcel);
      runUntilHeld(modem);
      expectReceived(modem, parcel);
      expect(modem.primary.link.stats.payloadRecalled).to.be.above(0);
      expect(modem.backup.of('closed')).to.deep.equal([]);
    }
  });
});
