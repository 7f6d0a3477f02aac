import type { Crc32 } from '../framing/frame.js';
import { Sealer } from '../handshake/sealer.js';
import type { Millis } from '../units.js';
import { MessageReceiver, MessageSender } from './control-channel.js';
import type { Counters } from './counters.js';
import type { DamagedSegment } from './damaged-frame.js';
import { FrameContents } from './frame-contents.js';
import { HearingSigns } from './hearing-signs.js';
import { KeepAlive } from './keep-alive.js';
import { LineMeasures } from './line-measures.js';
import { FRAME_OVERHEAD, type LineTimes } from './line-times.js';
import type { CloseReason } from './close-reason.js';
import type { LinkEvent } from './link-event.js';
import type { Report } from './report.js';
import { readPieces, RIDERS_ROOM, writePiece, type Piece } from './pieces.js';
import { OpenPrompts } from './open-prompts.js';
import { MessageSchedule } from './message-schedule.js';
import { PromptSchedule } from './prompt-schedule.js';
import { ReportSchedule } from './report-schedule.js';
import type { RoundTrip } from './rtt.js';
import type { Scraps } from './scraps.js';
import { SegmentReceiver } from './segment-receiver.js';
import { SegmentSender } from './segment-sender.js';
import type { LinkTimer, LinkTimers } from './timers.js';
import { WireWriter } from './wire.js';

/** The line stays silent for so long, ms, after a report was due: then the rest of a long frame is not worth its time. */
const ABANDON_AFTER = 30;

export interface ConversationParts {
  readonly times: LineTimes;
  readonly timers: LinkTimers;
  readonly roundTrip: RoundTrip;
  readonly counters: Counters;
  readonly initiator: boolean;
  readonly deadAfter: number | undefined;
  readonly crc32: Crc32;
  readonly emit: (event: LinkEvent) => void;
}

/**
 * What happens inside an established session: what is done with the pieces that come, and at which times; what goes out
 * is `FrameContents`. Everything that is queued before the session exists waits here for it.
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
  readonly #signs: HearingSigns;
  readonly #fragments: MessageSchedule;
  readonly #initiator: boolean;
  readonly #measures: LineMeasures;
  readonly #openPrompts: OpenPrompts;
  readonly #contents: FrameContents;
  #sealer: Sealer | undefined;
  #abandonDue = false;

  constructor(parts: ConversationParts) {
    this.#times = parts.times;
    this.#timers = parts.timers;
    this.#roundTrip = parts.roundTrip;
    this.#counters = parts.counters;
    this.#emit = parts.emit;
    this.#initiator = parts.initiator;
    this.#measures = new LineMeasures(parts.times, parts.roundTrip);
    this.outgoing = new SegmentSender(parts.emit, parts.crc32);
    this.#limitWindow();
    this.incoming = new SegmentReceiver(parts.emit, parts.crc32);
    this.keepAlive = new KeepAlive(parts.times, parts.timers, parts.initiator, parts.deadAfter);
    this.#openPrompts = new OpenPrompts(this.keepAlive);
    this.#fragments = new MessageSchedule(
      this.messages,
      parts.times,
      parts.timers,
      parts.roundTrip,
      this.keepAlive,
    );
    this.#reports = new ReportSchedule(parts.times, parts.timers);
    this.#signs = new HearingSigns(parts.times, parts.timers);
    this.#prompts = new PromptSchedule(parts.times, parts.roundTrip, parts.timers);
    this.#contents = new FrameContents({
      messages: this.messages,
      received: this.#received,
      outgoing: this.outgoing,
      incoming: this.incoming,
      fragments: this.#fragments,
      reports: this.#reports,
      prompts: this.#prompts,
      openPrompts: this.#openPrompts,
      signs: this.#signs,
      keepAlive: this.keepAlive,
      measures: this.#measures,
      times: parts.times,
      counters: parts.counters,
    });
  }

  /** The handshake is over; `sendKey` is this side's, `scraps` are what earlier sessions with this peer have left. */
  start(now: Millis, sendKey: Uint8Array, scraps: Scraps): void {
    this.#sealer = new Sealer(sendKey);
    this.incoming.adoptScraps(scraps);
    this.noteExpected();
    this.keepAlive.noteHeard(now);
    // The responder takes the session for real at the first sealed frame, so there must be one.
    if (this.#initiator) this.keepAlive.probe(now);
  }

  /** The layer above has stored something. */
  noteKept(): void {
    this.#reports.noteKept(this.incoming.isSettled, this.incoming.keptBytes);
  }

  /** The layer above expects something. */
  noteExpected(): void {
    if (this.incoming.scraps.isDue) this.#reports.makeDue();
  }

  /** The layer above has refused something. */
  reportSoon(): void {
    this.#reports.makeDue();
  }

  /** The layer above has withdrawn something. */
  noteWithdrawn(): void {
    if (this.outgoing.isWaiting) return;
    this.#prompts.stop();
    this.#openPrompts.stop();
  }

  handleTimer(now: Millis, timer: Exclude<LinkTimer, 'call' | 'give-up' | 'dead' | 'deaf'>): void {
    switch (timer) {
      case 'ack':
        this.#fragments.makeAckDue();
        break;
      case 'resend':
        this.#fragments.handleUnacknowledged(now);
        break;
      case 'report':
        this.#reports.makeDue();
        break;
      case 'sign':
        if (this.incoming.isWanting && this.#signs.isDue(now)) this.#contents.makeSignDue();
        break;
      case 'prompt':
        if (!this.outgoing.isWaiting) break;
        this.outgoing.handleSilence(this.#times.bytesIn(this.#roundTrip.limit));
        if (this.#prompts.isUnheard) this.outgoing.excuseFlight();
        this.#prompts.makeDue();
        if (!this.#times.isFast) this.#timers.set('abandon', now + ABANDON_AFTER);
        break;
      case 'abandon':
        this.#abandonDue = this.outgoing.abandonLast();
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
    const asked = this.#timers.isSet('probe');
    this.keepAlive.noteHeard(now);
    this.#times.noteReceived(content.length + FRAME_OVERHEAD);
    const gap = this.incoming.noteFrame(now, frame);
    this.#fragments.noteHeard();
    let prompted = false;
    let streamed = false;
    const pieces = readPieces(content);
    // An answer to a probe says nothing of the frame on the line.
    if (pieces.length === 0 && !asked && this.outgoing.isWaiting && !this.outgoing.isStalled)
      this.#prompts.noteSign(now);
    for (const piece of pieces) {
      if (piece.kind === 'close') return piece.why;
      if (piece.kind === 'prompt') prompted = true;
      if (piece.kind === 'segment') streamed = true;
      this.#handlePiece(now, frame, piece);
    }
    this.#handleScraps(
      now,
      pieces.filter((piece) => piece.kind === 'scrap'),
    );
    // A segment that came with the prompt stands behind it, and is to be in the report.
    if (prompted) this.#reports.notePrompt(now, this.incoming.isSettled);
    if (gap && this.incoming.isExpecting) this.#reports.noteGap(now);
    if (streamed && !prompted && this.incoming.isWanting) this.keepAlive.expectMore(now);
    return undefined;
  }

  /** Bytes of a frame have come that has not ended. */
  noteArriving(now: Millis): void {
    if (this.incoming.isExpecting) this.#signs.noteArriving(now);
  }

  /** What a damaged frame seems to have carried. */
  handleDamaged(now: Millis, damaged: DamagedSegment): void {
    if (this.incoming.handleDamaged(damaged)) this.#reports.noteGap(now);
  }

  /** The same when the session is over. */
  keepDamaged(damaged: DamagedSegment): void {
    this.incoming.handleDamaged(damaged);
  }

  /** The next frame's body, sealed; undefined when nothing is to be said now. */
  transmit(now: Millis): Uint8Array | undefined {
    const sealer = this.#sealer;
    if (sealer === undefined) return undefined;
    const writer = this.#contents.next(now, sealer.nextNumber);
    if (writer === undefined) return undefined;
    this.#times.noteSent(writer.length + FRAME_OVERHEAD);
    return sealer.seal(writer.finish());
  }

  /** The last frame made was a question and nothing else. */
  get isAsking(): boolean {
    return this.#contents.isAsking;
  }

  /** True once after it has turned out that the frame on the line is not worth its time. */
  takeAbandon(): boolean {
    const due = this.#abandonDue;
    this.#abandonDue = false;
    return due;
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
        this.#fragments.noteAck(now, this.messages.acknowledge(piece));
        break;
      case 'report':
        this.#handleReport(now, piece.report);
        break;
      case 'prompt':
        this.incoming.handleFloor(piece.floor);
        break;
      case 'message':
        this.#fragments.noteFragment(now);
        for (const bytes of this.#received.receive(piece)) {
          this.#counters.messagesReceived++;
          this.#emit({ kind: 'message', bytes });
        }
        break;
      case 'announce':
        this.incoming.handleAnnounce(piece.handle, piece.floor, piece.parcel);
        break;
      case 'probe':
        this.#contents.makeSignDue();
        break;
      case 'segment':
        this.incoming.handleSegment(frame, piece.handle, piece.offset, piece.bytes);
        this.#reports.noteData(now);
        break;
      case 'scrap':
        // All of a frame are dealt with together.
        break;
      case 'recall':
        this.incoming.handleRecall(frame, piece);
        this.#reports.noteData(now);
        break;
      default:
        piece satisfies never;
    }
  }

  #handleScraps(now: Millis, scraps: readonly (Piece & { readonly kind: 'scrap' })[]): void {
    if (scraps.length === 0) return;
    this.#measures.noteScraps(this.outgoing.handleScraps(scraps));
    // What has been given up by that is not waited for.
    this.#expectReport(now);
  }

  #handleReport(now: Millis, report: Report): void {
    this.#counters.reportsReceived++;
    this.#timers.clear('abandon');
    this.#openPrompts.noteSeen(now, report.seen);
    const dealt = this.outgoing.handleReport(report);
    const prompted = this.#openPrompts.sentIn(report.seen);
    const answers = dealt.answers ?? (prompted === undefined ? undefined : { at: prompted, content: 0 });
    this.#measures.noteReport(now, report, { ...dealt, answers });
    this.#limitWindow();
    this.#expectReport(now);
  }

  #limitWindow(): void {
    const { window } = this.#measures;
    if (window !== undefined) this.outgoing.window = window;
  }

  /** A report has come: when the next one is late. */
  #expectReport(now: Millis): void {
    if (this.outgoing.isStalled) {
      this.#prompts.makeDue();
      return;
    }
    const next = this.outgoing.unseen;
    this.#prompts.noteReport(now, {
      answered: this.#openPrompts.isLastSeen,
      waiting: this.outgoing.isWaiting,
      more: this.outgoing.isDue,
      nextAt: next === undefined ? undefined : next.at + this.#times.timeOfFrame(next.content),
    });
  }
}
