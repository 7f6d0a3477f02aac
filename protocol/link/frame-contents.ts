import { MAX_FRAME_BODY } from '../framing/limits.js';
import { SEAL_OVERHEAD } from '../handshake/sealer.js';
import type { Millis, ParcelId } from '../units.js';
import type { MessageReceiver, MessageSender } from './control-channel.js';
import type { Counters } from './counters.js';
import type { HearingSigns } from './hearing-signs.js';
import type { KeepAlive } from './keep-alive.js';
import { SCRAPS_AT_ONCE } from './limits.js';
import type { LineMeasures } from './line-measures.js';
import type { LineTimes } from './line-times.js';
import type { MessageSchedule } from './message-schedule.js';
import type { OpenPrompts } from './open-prompts.js';
import { RECALL_ROOM, RIDERS_ROOM, SCRAP_ROOM, writePiece } from './pieces.js';
import type { PromptSchedule } from './prompt-schedule.js';
import type { ReportSchedule } from './report-schedule.js';
import type { SegmentReceiver } from './segment-receiver.js';
import type { SegmentSender } from './segment-sender.js';
import { WireWriter } from './wire.js';

/** Room for a full report beside a message fragment. */
const REPORT_ROOM = 1024;

/** Head of a message fragment: tag, sequence, length. */
const FRAGMENT_HEAD = 12;

/** What there is to say, when it is due, and what is to be known of it when it is said. */
export interface FrameSources {
  readonly messages: MessageSender;
  readonly received: MessageReceiver;
  readonly outgoing: SegmentSender;
  readonly incoming: SegmentReceiver;
  readonly fragments: MessageSchedule;
  readonly reports: ReportSchedule;
  readonly prompts: PromptSchedule;
  readonly openPrompts: OpenPrompts;
  readonly signs: HearingSigns;
  readonly keepAlive: KeepAlive;
  readonly measures: LineMeasures;
  readonly times: LineTimes;
  readonly counters: Counters;
}

/** Which pieces go into the next frame of a session: all that is not data goes before data. */
export class FrameContents {
  readonly #from: FrameSources;
  #isSignDue = false;
  #isAsking = false;

  constructor(sources: FrameSources) {
    this.#from = sources;
  }

  /** The peer is to hear something, if only an empty frame. */
  makeSignDue(): void {
    this.#isSignDue = true;
  }

  /** The last frame made was a question and nothing else. */
  get isAsking(): boolean {
    return this.#isAsking;
  }

  /** The content of the frame of this number; undefined when nothing is to be said now. */
  next(now: Millis, frame: number): WireWriter | undefined {
    this.#isAsking = false;
    return this.#writeTalk(now, frame) ?? this.#writeSegment(now, frame);
  }

  /** A frame of everything but data, when any of it is due. */
  #writeTalk(now: Millis, frame: number): WireWriter | undefined {
    const { fragments, incoming, keepAlive, measures, messages, outgoing, prompts, reports, signs } =
      this.#from;
    const prompt = prompts.isDue && !outgoing.isDue;
    const probe = keepAlive.probeDue;
    if (probe && incoming.isWanting) reports.makeDue();
    const due = fragments.isAckDue || this.#isSignDue || reports.isDue || messages.isDue || prompt || probe;
    if (!due) return undefined;
    const capacity = Math.min(
      measures.size + REPORT_ROOM + SCRAPS_AT_ONCE * SCRAP_ROOM,
      MAX_FRAME_BODY - SEAL_OVERHEAD,
    );
    const writer = new WireWriter(capacity);
    if (this.#isSignDue || reports.isDue) signs.noteSent(now);
    this.#isSignDue = false;
    this.#writeAck(writer);
    if (reports.isDue) this.#writeReport(now, writer);
    this.#isAsking = prompt || probe;
    if (prompt) this.#writePrompt(now, frame, writer);
    if (probe) {
      writePiece(writer, { kind: 'probe' });
      keepAlive.noteProbeSent(now, incoming.isWanting);
    }
    this.#writeMessages(now, frame, writer);
    return writer;
  }

  #writeReport(now: Millis, writer: WireWriter): void {
    const { counters, incoming, reports } = this.#from;
    writePiece(writer, { kind: 'report', report: incoming.report(now) });
    reports.noteSent(now, incoming.isSettled);
    counters.reportsSent++;
    // Behind the report, so that the frame counts as lost by the time the sender hears what is left of it.
    for (const scrap of incoming.takeScraps()) writePiece(writer, scrap);
    if (incoming.scraps.isDue) reports.makeDue();
  }

  #writeMessages(now: Millis, frame: number, writer: WireWriter): void {
    const { counters, fragments, keepAlive, measures, messages } = this.#from;
    let left = measures.size;
    for (;;) {
      const room = Math.min(left, writer.room - FRAGMENT_HEAD);
      if (room < 1) return;
      const fragment = messages.take(frame, room);
      if (fragment === undefined) return;
      writePiece(writer, fragment.piece);
      left -= fragment.piece.bytes.length + FRAGMENT_HEAD;
      if (fragment.repeated) counters.messagesRepeated++;
      if (fragment.piece.last && !fragment.repeated) counters.messagesSent++;
      keepAlive.noteAsked(now);
      fragments.noteSent(now);
    }
  }

  #writeSegment(now: Millis, frame: number): WireWriter | undefined {
    const { counters, keepAlive, measures, outgoing, prompts, times } = this.#from;
    const recall = outgoing.takeRecall(now, frame);
    const segment = outgoing.take(now, frame, measures.size);
    if (recall === undefined && segment === undefined) return undefined;
    const length = segment?.bytes.length ?? 0;
    const writer = new WireWriter(length + RIDERS_ROOM + (recall === undefined ? 0 : RECALL_ROOM));
    this.#writeAck(writer);
    if (recall !== undefined) {
      if (recall.announce) this.#writeAnnounce(recall.piece.handle, recall.parcel, writer);
      writePiece(writer, recall.piece);
      counters.payloadRecalled += recall.bytes;
    }
    if (segment?.announce === true && segment.parcel !== recall?.parcel)
      this.#writeAnnounce(segment.handle, segment.parcel, writer);
    if (outgoing.isDue) prompts.noteSegment(now, times.timeOfFrame(length));
    else this.#writePrompt(now, frame, writer, length);
    keepAlive.noteAsked(now);
    if (segment === undefined) return writer;
    writePiece(writer, {
      kind: 'segment',
      handle: segment.handle,
      offset: segment.offset,
      bytes: segment.bytes,
    });
    counters.payloadSent += segment.bytes.length;
    counters.payloadRepeated += segment.repeated;
    if (segment.repeated > 0) counters.framesRepeated++;
    return writer;
  }

  #writeAnnounce(handle: number, parcel: ParcelId, writer: WireWriter): void {
    writePiece(writer, { kind: 'announce', handle, floor: this.#from.outgoing.floor, parcel });
  }

  /** `content`: of the segment that stands behind it. */
  #writePrompt(now: Millis, frame: number, writer: WireWriter, content = 0): void {
    const { counters, keepAlive, openPrompts, outgoing, prompts, times } = this.#from;
    writePiece(writer, { kind: 'prompt', floor: outgoing.floor });
    openPrompts.noteSent(now, frame);
    prompts.notePrompt(now, times.timeOfFrame(content));
    counters.promptsSent++;
    keepAlive.noteAsked(now);
  }

  #writeAck(writer: WireWriter): void {
    if (this.#from.fragments.takeAck()) writePiece(writer, this.#from.received.ack);
  }
}
