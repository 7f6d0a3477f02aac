import { expect } from 'chai';
import { crc32 } from 'node:zlib';
import { MAX_HANDLE_SPAN, MAX_PARCELS, MAX_WINDOW } from '../../../protocol/link/limits.js';
import type { LinkEvent } from '../../../protocol/link/link-event.js';
import { runsOf, type ParcelReport } from '../../../protocol/link/report.js';
import { SegmentSender } from '../../../protocol/link/segment-sender.js';
import { RangeSet } from '../../../protocol/ranges.js';
import { millis, parcelId, type ParcelId } from '../../../protocol/units.js';
import { Seeded, seedOfThisRun } from '../../support/seeded.js';

const idOf = (n: number): ParcelId => parcelId(n.toString(16).padStart(32, '0'));
const now = millis(0);
const part = (handle: number, held: RangeSet, limit = 96): ParcelReport => ({
  handle,
  kind: 'part',
  ...runsOf(held.ranges, limit),
});

describe('segment sender', () => {
  const seed = seedOfThisRun();
  let events: LinkEvent[] = [];
  const newSender = (): SegmentSender => {
    events = [];
    return new SegmentSender(
      (event) => events.push(event),
      (bytes) => crc32(bytes),
    );
  };

  it('does not count as lost what was sent again after the report was made', () => {
    const sender = newSender();
    sender.queue(idOf(1), new Uint8Array(400), []);
    for (const frame of [0, 1, 2]) sender.take(now, frame, 100);
    const held = new RangeSet([{ start: 200, end: 300 }]);
    const report = { upTo: 2, seen: 2, delay: 0, repaired: 0, parcels: [part(0, held)] };
    sender.handleReport(report);
    expect(sender.take(now, 3, 100)?.offset).to.equal(0);
    expect(sender.take(now, 4, 100)?.offset).to.equal(100);
    sender.handleReport(report);
    expect(sender.take(now, 5, 100)?.offset).to.equal(300);
  });

  it('does not count as lost what the receiver is still storing', () => {
    const sender = newSender();
    sender.queue(idOf(1), new Uint8Array(300), []);
    for (const frame of [0, 1, 2]) sender.take(now, frame, 100);
    sender.handleReport({ upTo: -1, seen: 2, delay: 0, repaired: 0, parcels: [part(0, new RangeSet())] });
    expect(sender.take(now, 3, 100)).to.equal(undefined);
    sender.handleSilence(Infinity);
    expect(sender.take(now, 3, 100), 'seen, so not repeated at the end either').to.equal(undefined);
  });

  it('repeats an unconfirmed segment once when the line is silent at the end', () => {
    const sender = newSender();
    sender.queue(idOf(1), new Uint8Array(100), []);
    sender.take(now, 0, 100);
    expect(sender.isDue).to.equal(false);
    sender.handleSilence(Infinity);
    expect(sender.take(now, 1, 100)).to.include({ offset: 0, repeated: 100 });
    sender.handleSilence(Infinity);
    expect(sender.take(now, 2, 100)).to.equal(undefined);
  });

  it('sends no new data while a report is overdue', () => {
    const sender = newSender();
    sender.queue(idOf(1), new Uint8Array(300), []);
    sender.take(now, 0, 100);
    sender.handleSilence(Infinity);
    expect(sender.take(now, 1, 100)).to.equal(undefined);
    sender.handleReport({ upTo: 0, seen: 0, delay: 0, repaired: 0, parcels: [] });
    expect(sender.take(now, 1, 100)?.offset, 'and what it does not name is lost').to.equal(0);
  });

  it('says nothing about what a report that was cut short does not reach', () => {
    const sender = newSender();
    sender.queue(idOf(1), new Uint8Array(1000), []);
    for (let frame = 0; frame < 10; frame++) sender.take(now, frame, 100);
    const held = new RangeSet([0, 200, 400, 600, 800].map((start) => ({ start, end: start + 100 })));
    sender.handleReport({ upTo: 9, seen: 9, delay: 0, repaired: 0, parcels: [part(0, held, 4)] });
    const again: number[] = [];
    for (let next = sender.take(now, 10, 100); next !== undefined; next = sender.take(now, 11, 100)) {
      again.push(next.offset);
    }
    expect([...new Set(again)]).to.deep.equal([100]);
  });

  it('repeats nothing at the end that a report has named meanwhile', () => {
    const sender = newSender();
    sender.queue(idOf(1), new Uint8Array(200), []);
    sender.take(now, 0, 100);
    sender.take(now, 1, 100);
    const held = new RangeSet([{ start: 100, end: 200 }]);
    sender.handleReport({ upTo: -1, seen: 0, delay: 0, repaired: 0, parcels: [part(0, held)] });
    sender.handleSilence(Infinity);
    expect(sender.take(now, 2, 100)).to.equal(undefined);
  });

  it('stops at the window, at the span of handles, and at the number of parcels', () => {
    const sender = newSender();
    sender.queue(idOf(1), new Uint8Array(2 * MAX_WINDOW), []);
    let sent = 0;
    for (let next = sender.take(now, 0, 16384); next !== undefined; next = sender.take(now, 0, 16384)) {
      sent += next.bytes.length;
    }
    expect(sent).to.equal(MAX_WINDOW);

    const many = newSender();
    for (let n = 0; n < MAX_PARCELS; n++) many.queue(idOf(n), new Uint8Array(10), []);
    expect(() => many.queue(idOf(99), new Uint8Array(10), []))
      .to.throw()
      .with.property('code', 'limit-exceeded');
    expect(() => many.queue(idOf(0), new Uint8Array(10), [])).to.throw();
    for (let n = 1; n < MAX_HANDLE_SPAN + 5; n++) {
      many.withdraw(idOf(n));
      many.queue(idOf(n + 1000), new Uint8Array(10), []);
      many.withdraw(idOf(n + 1000));
    }
    const handles: number[] = [];
    for (let next = many.take(now, 0, 100); next !== undefined; next = many.take(now, 0, 100))
      handles.push(next.handle);
    expect(Math.max(...handles) - many.floor).to.be.below(MAX_HANDLE_SPAN);
  });

  it(`against a receiver that loses frames sends nothing that was reported, and finishes (SEED=${seed})`, () => {
    for (let round = 0; round < 60; round++) {
      const random = new Seeded(seed + round);
      const sender = newSender();
      const parcels = [0, 1, 2].map((n) => ({
        id: idOf(n),
        length: 1 + random.below(5000),
        held: new RangeSet(),
      }));
      for (const { id, length } of parcels) sender.queue(id, new Uint8Array(length), []);
      const known = parcels.map(() => new RangeSet());
      let frame = 0;
      let upTo = -1;
      for (let step = 0; !sender.isIdle; step++) {
        expect(step, `SEED=${seed + round}`).to.be.below(5000);
        const next = random.chance(0.8) ? sender.take(now, frame, 1 + random.below(400)) : undefined;
        if (next === undefined) {
          const reports = parcels.map(({ held, length }, handle): ParcelReport =>
            held.covers(0, length) ? { handle, kind: 'whole' } : part(handle, held, 2 + random.below(20)),
          );
          // A prompt that came through has asked for it.
          if (random.chance(0.5)) upTo = frame++;
          sender.handleReport({ upTo, seen: upTo, delay: 0, repaired: 0, parcels: reports });
          parcels.forEach(({ held, length }, n) => {
            const report = reports[n]!;
            if (report.kind === 'whole') known[n]!.add(0, length);
            if (report.kind === 'part') {
              let at = 0;
              report.runs.forEach((run, i) => {
                if (i % 2 === 0) known[n]!.add(at, at + run);
                at += run;
              });
            }
            expect(known[n]!.ranges.every(({ start, end }) => held.covers(start, end))).to.equal(true);
          });
          continue;
        }
        const end = next.offset + next.bytes.length;
        expect(known[next.handle]!.intersects(next.offset, end), `SEED=${seed + round}`).to.equal(false);
        if (random.chance(0.7)) {
          parcels[next.handle]!.held.add(next.offset, end);
          upTo = frame;
        }
        frame++;
      }
      expect(events.filter(({ kind }) => kind === 'parcel-held')).to.have.length(3);
    }
  });
});
