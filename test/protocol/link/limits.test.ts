import { expect } from 'chai';
import { crc32 } from 'node:zlib';
import { MessageReceiver, MessageSender } from '../../../protocol/link/control-channel.js';
import {
  MAX_EARLY_BYTES,
  MAX_HANDLE_SPAN,
  MAX_HELD_RANGES,
  MAX_HELLO,
  MAX_MESSAGE,
  MAX_MESSAGE_QUEUE,
  MAX_PENDING_BYTES,
  MAX_PENDING_SEGMENTS,
  MAX_REPORT_RUNS,
  MESSAGE_WINDOW,
} from '../../../protocol/link/limits.js';
import type { LinkEvent } from '../../../protocol/link/link-event.js';
import { readPieces } from '../../../protocol/link/pieces.js';
import { readReport, runsOf, writeReport } from '../../../protocol/link/report.js';
import { SegmentReceiver } from '../../../protocol/link/segment-receiver.js';
import { WireReader, WireWriter } from '../../../protocol/link/wire.js';
import { millis, parcelId, type ParcelId } from '../../../protocol/units.js';
import { NullModem } from '../../support/null-modem.js';

const idOf = (n: number): ParcelId => parcelId(n.toString(16).padStart(32, '0'));
const HUGE = 1 << 30;

/** A receiver, its events, and a peer that sends what it likes: each segment in a frame of its own. */
function receiver(): {
  receiver: SegmentReceiver;
  events: LinkEvent[];
  send: (handle: number, offset: number, length: number) => void;
} {
  const events: LinkEvent[] = [];
  const made = new SegmentReceiver(
    (event) => events.push(event),
    (bytes) => crc32(bytes),
  );
  let frame = 0;
  const send = (handle: number, offset: number, length: number): void => {
    made.noteFrame(millis(0), frame);
    made.handleSegment(frame++, handle, offset, new Uint8Array(length));
  };
  return { receiver: made, events, send };
}

const delivered = (events: readonly LinkEvent[]): number =>
  events.reduce((sum, event) => sum + (event.kind === 'segment' ? event.bytes.length : 0), 0);

describe('limits on what a peer can make this side hold', () => {
  it('a message, and a queue of messages, of the greatest size and one byte more', () => {
    const sender = new MessageSender();
    sender.enqueue(new Uint8Array(MAX_MESSAGE));
    expect(() => sender.enqueue(new Uint8Array(MAX_MESSAGE + 1)))
      .to.throw()
      .with.property('code', 'limit-exceeded');
    for (let left = MAX_MESSAGE_QUEUE - MAX_MESSAGE; left > 0; left -= MAX_MESSAGE)
      sender.enqueue(new Uint8Array(MAX_MESSAGE));
    expect(() => sender.enqueue(new Uint8Array(1)))
      .to.throw()
      .with.property('code', 'limit-exceeded');
  });

  it('a message that grows by fragments beyond the greatest', () => {
    const made = new MessageReceiver();
    const fragment = (sequence: number, length: number, last = false): Uint8Array[] =>
      made.receive({ kind: 'message', sequence, last, bytes: new Uint8Array(length) });
    const step = MAX_MESSAGE / 16;
    for (let n = 0; n < 16; n++) fragment(n, step);
    expect(fragment(16, 0, true)[0]?.length).to.equal(MAX_MESSAGE);
    for (let n = 17; n < 33; n++) fragment(n, step);
    expect(() => fragment(33, 1))
      .to.throw()
      .with.property('code', 'limit-exceeded');
  });

  it('fragments ahead of a missing one', () => {
    const made = new MessageReceiver();
    const fragment = (sequence: number): Uint8Array[] =>
      made.receive({ kind: 'message', sequence, last: true, bytes: new Uint8Array(1) });
    for (let n = 1; n < MESSAGE_WINDOW + 50; n++) fragment(n);
    expect(made.ack).to.deep.equal({ kind: 'ack', next: 0, mask: 2 ** 32 - 1 });
    expect(fragment(0)).to.have.length(MESSAGE_WINDOW);
    expect(fragment(0), 'an old one').to.have.length(0);
  });

  it('segments that are delivered and not kept: by bytes', () => {
    const { receiver: made, events, send } = receiver();
    made.expect(idOf(1), HUGE, []);
    made.handleAnnounce(0, 0, idOf(1));
    const count = MAX_PENDING_BYTES / 16384;
    for (let n = 0; n < count + 100; n++) send(0, n * 16384, 16384);
    expect(delivered(events)).to.equal(MAX_PENDING_BYTES);
    made.kept(idOf(1), 0, 16384);
    send(0, count * 16384, 16384);
    expect(delivered(events)).to.equal(MAX_PENDING_BYTES + 16384);
  });

  it('segments that are delivered and not kept: by number', () => {
    const { receiver: made, events, send } = receiver();
    made.expect(idOf(1), HUGE, []);
    made.handleAnnounce(0, 0, idOf(1));
    for (let n = 0; n < MAX_PENDING_SEGMENTS + 100; n++) send(0, n, 1);
    expect(delivered(events)).to.equal(MAX_PENDING_SEGMENTS);
  });

  it('segments of a parcel that is not expected, which are delivered when it is', () => {
    const { receiver: made, events, send } = receiver();
    made.handleAnnounce(0, 0, idOf(1));
    for (let n = 0; n < 1000; n++) send(0, n * 16384, 16384);
    expect(events).to.deep.equal([{ kind: 'parcel-offered', parcel: idOf(1) }]);
    made.expect(idOf(1), HUGE, []);
    expect(delivered(events)).to.equal(MAX_EARLY_BYTES);
  });

  it('a segment again, whole or in part, before and after it is kept: each byte is delivered once', () => {
    const { receiver: made, events, send } = receiver();
    made.expect(idOf(1), 1000, [{ start: 900, end: 1000 }]);
    made.handleAnnounce(0, 0, idOf(1));
    for (const [offset, length] of [
      [0, 100],
      [0, 100],
      [50, 100],
      [850, 150],
    ] as const)
      send(0, offset, length);
    made.kept(idOf(1), 0, 150);
    send(0, 0, 200);
    const ranges = events.map((event) =>
      event.kind === 'segment' ? [event.offset, event.bytes.length] : [],
    );
    expect(ranges).to.deep.equal([
      [0, 100],
      [100, 50],
      [850, 50],
      [150, 50],
    ]);
    expect(made.duplicateBytes).to.equal(100 + 50 + 100 + 150);
  });

  it('scattered ranges of a parcel', () => {
    const { receiver: made, events, send } = receiver();
    made.expect(idOf(1), HUGE, []);
    made.handleAnnounce(0, 0, idOf(1));
    for (let n = 0; n < MAX_HELD_RANGES + 100; n++) send(0, n * 10, 1);
    expect(delivered(events)).to.equal(MAX_HELD_RANGES);
    const before = delivered(events);
    send(0, 5_000_000, 1);
    expect(delivered(events)).to.equal(before);
    send(0, 1, 1);
    expect(delivered(events), 'one that touches a range is taken').to.equal(before + 1);
  });

  it('announced parcels, and segments that were never announced', () => {
    const { receiver: made, events, send } = receiver();
    made.handleAnnounce(MAX_HANDLE_SPAN - 1, 0, idOf(1));
    expect(() => made.handleAnnounce(MAX_HANDLE_SPAN, 0, idOf(2)))
      .to.throw()
      .with.property('code', 'bad-message');
    made.handleAnnounce(MAX_HANDLE_SPAN, 1, idOf(2));
    send(7, 0, 10);
    expect(events).to.deep.equal([]);
  });

  it('a segment beyond the end of its parcel', () => {
    const { receiver: made, send } = receiver();
    made.expect(idOf(1), 100, []);
    made.handleAnnounce(0, 0, idOf(1));
    send(0, 99, 1);
    expect(() => send(0, 99, 2))
      .to.throw()
      .with.property('code', 'bad-message');
    expect(() => send(0, Number.MAX_SAFE_INTEGER - 1, 1))
      .to.throw()
      .with.property('code', 'bad-message');
  });

  it('runs and parcels in a report', () => {
    const many = Array.from({ length: 500 }, (_, n) => ({ start: n * 10 + 1, end: n * 10 + 5 }));
    const { runs, complete } = runsOf(many, MAX_REPORT_RUNS);
    expect(complete).to.equal(false);
    expect(runs.length).to.be.at.most(MAX_REPORT_RUNS);
    const write = (parcels: number, count: number): WireReader => {
      const writer = new WireWriter(10_000);
      const part = { kind: 'part' as const, runs: Array.from({ length: count }, () => 1), complete: true };
      writeReport(writer, {
        upTo: 5,
        seen: 6,
        delay: 7,
        repaired: 8,
        parcels: Array.from({ length: parcels }, (_, handle) => ({ handle, ...part })),
      });
      return new WireReader(writer.finish());
    };
    expect(readReport(write(MAX_HANDLE_SPAN, MAX_REPORT_RUNS)).parcels).to.have.length(MAX_HANDLE_SPAN);
    expect(() => readReport(write(MAX_HANDLE_SPAN + 1, 1)))
      .to.throw()
      .with.property('code', 'bad-message');
    expect(() => readReport(write(1, MAX_REPORT_RUNS + 1)))
      .to.throw()
      .with.property('code', 'bad-message');
  });

  it('numbers beyond the safe integers, unknown pieces, and pieces that end early', () => {
    for (const hex of [
      '01ffffffffffffffffff01',
      '09',
      '00',
      '04',
      '0403',
      '040309aa',
      '0500',
      '08',
      '0800',
      '02',
    ]) {
      expect(() => readPieces(Buffer.from(hex, 'hex')), hex)
        .to.throw()
        .with.property('code', 'bad-message');
    }
  });

  it('the payload of a handshake frame', () => {
    const hello = new Uint8Array(MAX_HELLO);
    const modem = new NullModem({ seed: 1, primary: { hello }, backup: { answer: () => hello } });
    modem.drive();
    expect(modem.primary.of('established')[0]?.hello.length).to.equal(MAX_HELLO);
    expect(() => new NullModem({ seed: 1, primary: { hello: new Uint8Array(MAX_HELLO + 1) } })).to.throw(
      RangeError,
    );
  });
});
