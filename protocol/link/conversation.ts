import { MAX_FRAME_BODY } from '../framing/limits.js';
import { SEAL_OVERHEAD, Sealer } from '../handshake/sealer.js';
import type { Millis } from '../units.js';
import { MessageReceiver, MessageSender } from './control-channel.js';
import type { Counters } from './counters.js';
import { KeepAlive } from './keep-alive.js';
import type { LineTimes } from './line-times.js';
import type { CloseReason, LinkEvent } from './link-event.js';
import { readPieces, RIDERS_ROOM, writePiece, type Piece } from './pieces.js';
import { PromptSchedule } from './prompt-schedule.js';
import { ReportSchedule } from './report-schedule.js';
import type { RoundTrip } from './rtt.js';
import { SegmentReceiver } from './segment-receiver.js';
import { SegmentSender } from './segment-sender.js';
import type { LinkTimer, LinkTimers } from './timers.js';
import { WireWriter } from './wire.js';

/** An acknowledgement waits this long, ms, for a frame to ride on. */
const ACK_DELAY = 25;

/** A silent peer is sent a fragment so many times; then probes, which are shorter, until it is heard again. */
const FRAGMENT_ATTEMPTS = 2;

/** Room for a full report beside a message fragment. */
const REPORT_ROOM = 1024;

/** Head of a message fragment: tag, sequence, length. */
const FRAGMENT_HEAD = 12;

export interface ConversationParts {
  readonly times: LineTimes;
  readonly timers: LinkTimers;
  readonly roundTrip: RoundTrip;
  readonly counters: Counters;
  readonly initiator: boolean;
  readonly deadAfter: number | undefined;
  readonly emit: (event: LinkEvent) => void;
}

/**
 * What happens inside an established session: which pieces go into the next frame, and what is done with those that
 * come. Everything that is queued before the session exists waits here for it.
 */
export class Conversation {
  readonly messages = new MessageSender();
  readonly outgoing: SegmentSender;
  readonly incoming: SegmentReceiver;
  readonly keepAlive: KeepAlive;
  readonly #received = new MessageReceiver();
  readonly #times: LineTimes;
  readonly #timers: LinkTimers;
  readonly #roundTrip: RoundTrip;
  readonly #counters: Counters;
  readonly #emit: (event: LinkEvent) => void;
  readonly #reports: ReportSchedule;
  readonly #prompts: PromptSchedule;
  readonly #initiator: boolean;
  #sealer: Sealer | undefined;
  #ackPending = false;
  #ackDue = false;
  #aliveDue = false;
  #resends = 0;
  #lastPrompt: { readonly frame: number; readonly at: Millis } | undefined;

  constructor(parts: ConversationParts) {
    this.#times = parts.times;
    this.#timers = parts.timers;
    this.#roundTrip = parts.roundTrip;
    this.#counters = parts.counters;
    this.#emit = parts.emit;
    this.#initiator = parts.initiator;
    this.outgoing = new SegmentSender(parts.emit);
    this.incoming = new SegmentReceiver(parts.emit);
    this.keepAlive = new KeepAlive(parts.times, parts.timers, parts.initiator, parts.deadAfter);
    this.#reports = new ReportSchedule(parts.times, parts.timers);
    this.#prompts = new PromptSchedule(parts.times, parts.roundTrip, parts.timers);
  }

  /** The handshake is over; `sendKey` is this side's. */
  start(now: Millis, sendKey: Uint8Array): void {
    this.#sealer = new Sealer(sendKey);
    this.keepAlive.noteHeard(now);
    // The responder takes the session for real at the first sealed frame, so there must be one.
    if (this.#initiator) this.keepAlive.probe(now);
  }

  /** The layer above has stored something. */
  noteKept(): void {
    this.#reports.noteKept(this.incoming.isSettled, this.incoming.keptBytes);
  }

  /** The layer above has refused something. */
  reportSoon(): void {
    this.#reports.makeDue();
  }

  /** The layer above has withdrawn something. */
  noteWithdrawn(): void {
    if (!this.outgoing.isWaiting) this.#prompts.stop();
  }

  handleTimer(now: Millis, timer: Exclude<LinkTimer, 'call' | 'give-up' | 'dead'>): void {
    switch (timer) {
      case 'ack':
        this.#ackDue = true;
        break;
      case 'resend':
        this.#handleUnacknowledged(now);
        break;
      case 'report':
        this.#reports.makeDue();
        break;
      case 'prompt':
        if (!this.outgoing.isWaiting) break;
        this.outgoing.handleSilence();
        this.#prompts.makeDue();
        break;
      case 'keep-alive':
      case 'probe':
        this.keepAlive.probe(now);
        break;
      default:
        timer satisfies never;
    }
  }

  /** The content of a valid sealed frame. Throws `ProtocolError` when the peer breaks the rules. Returns why it closes. */
  handleContent(now: Millis, frame: number, content: Uint8Array): CloseReason | undefined {
    this.keepAlive.noteHeard(now);
    const gap = this.incoming.noteFrame(now, frame);
    if (this.#resends >= FRAGMENT_ATTEMPTS && !this.messages.isIdle) {
      // It was away; do not make it wait for the timer.
      this.#resends = 0;
      this.messages.repeatOldest();
    }
    let prompted = false;
    for (const piece of readPieces(content)) {
      if (piece.kind === 'close') return piece.why;
      if (piece.kind === 'prompt') prompted = true;
      this.#handlePiece(now, frame, piece);
    }
    // A segment that came with the prompt stands behind it, and is to be in the report.
    if (prompted) this.#reports.notePrompt(now, this.incoming.isSettled);
    if (gap && this.incoming.isExpecting) this.#reports.noteGap(now);
    return undefined;
  }

  /** The next frame's body, sealed; undefined when nothing is to be said now. */
  transmit(now: Millis): Uint8Array | undefined {
    const sealer = this.#sealer;
    if (sealer === undefined) return undefined;
    const writer = this.#writeTalk(now, sealer.nextNumber) ?? this.#writeSegment(now, sealer.nextNumber);
    return writer === undefined ? undefined : sealer.seal(writer.finish());
  }

  /** The body of the last frame; undefined when there is no session yet. */
  transmitClose(why: CloseReason): Uint8Array | undefined {
    const writer = new WireWriter(RIDERS_ROOM);
    writePiece(writer, { kind: 'close', why });
    return this.#sealer?.seal(writer.finish());
  }

  #handlePiece(now: Millis, frame: number, piece: Exclude<Piece, { kind: 'close' }>): void {
    switch (piece.kind) {
      case 'ack':
        if (this.messages.acknowledge(piece)) this.#resends = 0;
        if (this.messages.isWaiting) this.#armResend(now);
        else this.#timers.clear('resend');
        break;
      case 'report': {
        this.#counters.reportsReceived++;
        const { seen, delay } = piece.report;
        const prompt = this.#lastPrompt;
        const sentAt = this.outgoing.handleReport(piece.report);
        const promptedAt = prompt?.frame === seen ? prompt.at : undefined;
        const askedAt = sentAt ?? promptedAt;
        if (askedAt !== undefined) this.#roundTrip.sample(now - askedAt - delay);
        const answered = prompt !== undefined && prompt.frame <= seen;
        this.#prompts.noteReport(now, answered, this.outgoing.isWaiting, this.outgoing.isDue);
        break;
      }
      case 'prompt':
        this.incoming.handleFloor(piece.floor);
        break;
      case 'message':
        this.#ackPending = true;
        if (!this.#timers.isSet('ack')) this.#timers.set('ack', now + ACK_DELAY);
        for (const bytes of this.#received.receive(piece)) {
          this.#counters.messagesReceived++;
          this.#emit({ kind: 'message', bytes });
        }
        break;
      case 'announce':
        this.incoming.handleAnnounce(piece.handle, piece.floor, piece.parcel);
        break;
      case 'probe':
        this.#aliveDue = true;
        break;
      case 'segment':
        this.incoming.handleSegment(frame, piece.handle, piece.offset, piece.bytes);
        this.#reports.noteData(now);
        break;
      default:
        piece satisfies never;
    }
  }

  #handleUnacknowledged(now: Millis): void {
    if (!this.messages.isWaiting) return;
    this.#resends++;
    if (this.#resends > FRAGMENT_ATTEMPTS) {
      // The probe repeats itself; the fragment follows when the peer is heard.
      this.keepAlive.probe(now);
      return;
    }
    this.messages.repeatOldest();
    this.#armResend(now);
  }

  #armResend(now: Millis): void {
    const answer = this.#roundTrip.limit + ACK_DELAY + 2 * this.#times.frameTime;
    const backOff = Math.min(answer * 2 ** this.#resends, Math.max(answer, this.#times.probeInterval));
    this.#timers.set('resend', now + backOff);
  }

  /** A frame of everything but data, when any of it is due. */
  #writeTalk(now: Millis, frame: number): WireWriter | undefined {
    const prompt = this.#prompts.isDue && !this.outgoing.isDue;
    const probe = this.keepAlive.probeDue;
    const due =
      this.#ackDue || this.#aliveDue || this.#reports.isDue || this.messages.isDue || prompt || probe;
    if (!due) return undefined;
    const capacity = Math.min(this.#times.segmentSize + REPORT_ROOM, MAX_FRAME_BODY - SEAL_OVERHEAD);
    const writer = new WireWriter(capacity);
    this.#aliveDue = false;
    this.#writeAck(writer);
    if (this.#reports.isDue) {
      writePiece(writer, { kind: 'report', report: this.incoming.report(now) });
      this.#reports.noteSent(now, this.incoming.isSettled);
      this.#counters.reportsSent++;
    }
    if (prompt) this.#writePrompt(now, frame, writer);
    if (probe) {
      writePiece(writer, { kind: 'probe' });
      this.keepAlive.noteProbeSent(now);
    }
    this.#writeMessages(now, frame, writer);
    return writer;
  }

  #writeMessages(now: Millis, frame: number, writer: WireWriter): void {
    let left = this.#times.segmentSize;
    for (;;) {
      const room = Math.min(left, writer.room - FRAGMENT_HEAD);
      if (room < 1) return;
      const fragment = this.messages.take(frame, room);
      if (fragment === undefined) return;
      writePiece(writer, fragment.piece);
      left -= fragment.piece.bytes.length + FRAGMENT_HEAD;
      if (fragment.repeated) this.#counters.messagesRepeated++;
      if (fragment.piece.last && !fragment.repeated) this.#counters.messagesSent++;
      this.keepAlive.noteAsked(now);
      this.#armResend(now);
    }
  }

  #writeSegment(now: Millis, frame: number): WireWriter | undefined {
    const segment = this.outgoing.take(now, frame, this.#times.segmentSize);
    if (segment === undefined) return undefined;
    const writer = new WireWriter(segment.bytes.length + RIDERS_ROOM);
    this.#writeAck(writer);
    if (segment.announce) {
      const { floor } = this.outgoing;
      writePiece(writer, { kind: 'announce', handle: segment.handle, floor, parcel: segment.parcel });
    }
    if (this.outgoing.isDue) this.#prompts.noteSegment(now);
    else this.#writePrompt(now, frame, writer);
    writePiece(writer, {
      kind: 'segment',
      handle: segment.handle,
      offset: segment.offset,
      bytes: segment.bytes,
    });
    this.#counters.payloadSent += segment.bytes.length;
    this.#counters.payloadRepeated += segment.repeated;
    if (segment.repeated > 0) this.#counters.framesRepeated++;
    this.keepAlive.noteAsked(now);
    return writer;
  }

  #writePrompt(now: Millis, frame: number, writer: WireWriter): void {
    writePiece(writer, { kind: 'prompt', floor: this.outgoing.floor });
    this.#lastPrompt = { frame, at: now };
    this.#prompts.notePrompt(now);
    this.#counters.promptsSent++;
    this.keepAlive.noteAsked(now);
  }

  #writeAck(writer: WireWriter): void {
    if (!this.#ackPending) return;
    writePiece(writer, this.#received.ack);
    this.#ackPending = false;
    this.#ackDue = false;
    this.#timers.clear('ack');
  }
}
