import { encodeMessage } from '../../protocol/messages/codec.js';
import type { CopyStatus, Message, RefusalCode } from '../../protocol/messages/message.js';
import { SetTransfer, type SpooledParcel, type TransferStep } from '../../protocol/session/set-transfer.js';
import type { Range } from '../../protocol/ranges.js';
import type { SetAccount } from '../../protocol/set-account.js';
import type { StateInfo } from '../../protocol/state.js';
import type { ParcelId, StateId, VolumeId } from '../../protocol/units.js';
import type { SerialQueue } from '../platform/serial-queue.js';
import type { SessionLink } from './call.js';
import type { CopyStanding } from './copy-standing.js';
import type { Spool } from './spool.js';

export interface SetSendingOptions {
  readonly volumeName: string;
  readonly volumeId: VolumeId;
  readonly blockSize: number;
  readonly spool: Spool;
  /** Where the steps below take their turns. */
  readonly queue: SerialQueue;
  readonly copy: CopyStanding;
  /** May a set of which so many bytes are not held yet be committed, after which it can no more be turned. */
  readonly isTimeToCommit: (bytesLeft: number) => boolean;
  /** What is told of the set with its commit. */
  readonly account: (from: StateId | null, to: StateId) => SetAccount;
  /** So many bytes of the set have turned out to be held in this session. */
  readonly onMoved: (bytes: number) => void;
  /** The backup holds more than before: another parcel may be wanted. */
  readonly onRoom: () => void;
  /** The opening of the volume that offers; undefined: it does not tell. */
  readonly opening: () => string | undefined;
  /** Parcels that are being encoded again. */
  readonly withheld: () => Iterable<ParcelId>;
  /** The backup holds something else than a parcel refers to. */
  readonly onMismatch: (parcel: ParcelId, base: readonly Range[]) => Promise<void>;
  readonly onDurable: () => Promise<void>;
  readonly onApplied: () => Promise<void>;
  readonly onRefused: (code: RefusalCode, text: string) => Promise<void>;
  readonly onFailed: (error: Error) => Promise<void>;
}

/** A transfer and the session it belongs to. */
interface Current {
  readonly transfer: SetTransfer;
  readonly session: SessionLink;
  readonly to: StateId;
}

/** The sending of the spooled set in one session after another: at most one transfer at a time. */
export class SetSending {
  readonly #options: SetSendingOptions;
  #current: Current | null = null;
  /** Of a set that is complete and not committed in this session yet. */
  #digest: Uint8Array | null = null;
  #isCommitted = false;
  /** Bytes held of parcels that are not held whole. */
  readonly #partial = new Map<ParcelId, number>();
  /** Of the travelling set, as the last session left it: what is held while nobody is connected; null: none yet. */
  #heldBefore: number | null = null;
  #unreportedBytes = 0;

  constructor(options: SetSendingOptions) {
    this.#options = options;
  }

  /** A transfer is under way. */
  get isUnderWay(): boolean {
    return this.#current !== null;
  }

  /** The COMMIT of the set was put on the line in this session. */
  get isCommitted(): boolean {
    return this.#isCommitted;
  }

  /** Encoded bytes of the set that the backup holds, as far as is known. */
  get held(): number {
    return this.#current === null ? (this.#heldBefore ?? 0) : this.#heldNow(this.#current.transfer);
  }

  /**
   * Bytes, since the start, that the backup turned out to hold although the session in which they were sent had ended
   * before it could say so.
   */
  get unreportedBytes(): number {
    return this.#unreportedBytes;
  }

  /** Parcels that are on the line or waiting for it; undefined: no transfer. */
  get parcelsWaiting(): number | undefined {
    return this.#current?.transfer.parcelsWaiting;
  }

  /** Offers the spooled set to a copy that stands at `remote`, and sends what is missing. */
  begin(session: SessionLink, from: StateId | null, target: StateInfo, remote: CopyStatus): void {
    const { spool, volumeName, volumeId, blockSize } = this.#options;
    const { set } = spool;
    if (this.#current !== null || set === null) return;
    const opening = this.#options.opening();
    const offer = {
      ...({ kind: 'offer', volume: volumeName, volumeId, blockSize, from, to: target } as const),
      ...(opening !== undefined && { opening }),
    };
    const transfer = new SetTransfer(offer, remote, set.parcels, null, set.earlier, this.#options.withheld());
    this.#digest = set.digest;
    this.#current = { transfer, session, to: target.id };
    for (const { id, held } of remote.capture?.partial ?? []) {
      const bytes = held.reduce((sum, range) => sum + range.end - range.start, 0);
      if (transfer.has(id)) this.#partial.set(id, bytes);
    }
    if (this.#heldBefore !== null) {
      this.#unreportedBytes += Math.max(0, this.#heldNow(transfer) - this.#heldBefore);
    }
    this.#options.onRoom();
    this.#step();
  }

  /** The next parcel of the set, spooled and synced. */
  addParcel(parcel: SpooledParcel): void {
    this.#current?.transfer.addParcel(parcel);
    this.#step();
  }

  /** A parcel has been encoded again. */
  replaceParcel(parcel: SpooledParcel): void {
    this.#current?.transfer.replaceParcel(parcel);
    this.#step();
  }

  /** No more parcels will come. */
  finish(digest: Uint8Array): void {
    this.#digest = digest;
    this.#step();
  }

  /** A message of the backup about this volume; answers whether a transfer heard it. */
  handleMessage(message: Message): boolean {
    if (this.#current === null) return false;
    this.#current.transfer.handleMessage(message);
    this.#step();
    return true;
  }

  handleProgress(parcel: ParcelId, held: number): void {
    if (this.#current?.transfer.has(parcel) !== true) return;
    this.#options.onMoved(held - (this.#partial.get(parcel) ?? 0));
    this.#partial.set(parcel, held);
    if (this.#digest !== null) this.#step();
  }

  handleParcelHeld(parcel: ParcelId): void {
    if (this.#current?.transfer.has(parcel) !== true) return;
    const { spool, onMoved } = this.#options;
    const length = spool.set?.parcels.find(({ id }) => id === parcel)?.length;
    if (length !== undefined) onMoved(length - (this.#partial.get(parcel) ?? 0));
    this.#partial.delete(parcel);
    this.#current.transfer.parcelDone(parcel);
    this.#options.onRoom();
    this.#step();
  }

  /** The set leaves the line. */
  end(): void {
    const current = this.#current;
    this.#current = null;
    if (current !== null) this.#heldBefore = this.#heldNow(current.transfer);
    this.#partial.clear();
    if (current === null) return;
    for (const id of current.transfer.onLine) current.session.withdrawParcel(id);
  }

  /** The set leaves the line, and it is kept in mind what the backup holds of it, so that the session can go on with it. */
  putAside(): void {
    if (this.#current === null) return;
    const { transfer, session } = this.#current;
    const partial = transfer.onLine.map((id) => ({ id, held: session.withdrawParcel(id) }));
    const capture = transfer.heldSoFar(partial);
    this.end();
    this.#options.copy.holds(capture);
  }

  /** The backup is to forget what it holds of the set, which will not come as it was. */
  withdraw(): void {
    if (this.#current !== null) {
      const { session, to } = this.#current;
      session.sendMessage(encodeMessage({ kind: 'withdraw', volume: this.#options.volumeName, to }));
    }
    this.end();
    this.#options.copy.withdrawn();
  }

  /** Another set is to travel, of which nothing is held yet. */
  forget(): void {
    this.#heldBefore = null;
    this.#isCommitted = false;
  }

  /** The session is over; the next one begins with what the backup says of its copy. */
  leaveSession(): void {
    this.end();
    this.#isCommitted = false;
  }

  #withAccount(message: Message): Message {
    if (message.kind !== 'commit') return message;
    return { ...message, account: this.#options.account(message.from, message.to) };
  }

  #heldNow(transfer: SetTransfer): number {
    return [...this.#partial.values()].reduce((sum, bytes) => sum + bytes, transfer.progress.bytesDone);
  }

  #commitInTime(): void {
    if (this.#digest === null || this.#current === null) return;
    const { transfer } = this.#current;
    const bytesLeft = transfer.progress.bytesKnown - this.#heldNow(transfer);
    if (!this.#options.isTimeToCommit(bytesLeft)) return;
    transfer.finish(this.#digest);
    this.#digest = null;
    this.#isCommitted = true;
  }

  /** Does what the transfer wants next; parcels are read from the spool one at a time. */
  #step(): void {
    const { queue, onFailed } = this.#options;
    this.#commitInTime();
    void queue.run(async () => {
      for (;;) {
        const current = this.#current;
        const step = current?.transfer.poll();
        if (current === null || step === undefined) return;
        try {
          await this.#take(step, current);
        } catch (error) {
          await onFailed(error as Error);
          return;
        }
      }
    });
  }

  async #take(step: TransferStep, { session, transfer }: Current): Promise<void> {
    const { spool, onMismatch, onDurable, onApplied, onRefused } = this.#options;
    switch (step.kind) {
      case 'send':
        session.sendMessage(encodeMessage(this.#withAccount(step.message)));
        return;
      case 'stream': {
        const bytes = await spool.read(step.parcel);
        if (transfer === this.#current?.transfer) session.sendParcel(step.parcel.id, bytes, step.held);
        return;
      }
      case 'mismatch':
        session.withdrawParcel(step.parcel.id);
        this.#partial.delete(step.parcel.id);
        await onMismatch(step.parcel.id, step.base);
        return;
      case 'durable':
        await onDurable();
        return;
      case 'applied':
        await onApplied();
        return;
      case 'refused':
        await onRefused(step.code, step.text);
        return;
      default:
        step satisfies never;
    }
  }
}
