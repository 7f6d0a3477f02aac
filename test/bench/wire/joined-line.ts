import type { Hello } from '../../../protocol/messages/message.js';
import type { ParcelId } from '../../../protocol/units.js';
import { silentLog } from '../../../src/platform/log.js';
import type { SessionLink } from '../../../src/replication/call.js';
import type { Replicator } from '../../../src/replication/replicator.js';
import { SourceSession } from '../../../src/replication/source-session.js';
import { TargetSession } from '../../../src/replication/target-session.js';
import type { VolumeStore } from '../../../src/store/volume-store.js';

/** What crossed, before framing and sealing. */
export interface Crossed {
  /** Encoded parcels. */
  readonly parcelBytes: number;
  readonly parcels: number;
  /** Messages (offer, announcements, commit and their answers), both ways. */
  readonly messageBytes: number;
  readonly messages: number;
}

/** How much a backup is handed at a time; the real link's segments are smaller, and their order the same. */
const SEGMENT_BYTES = 64 << 10;

/**
 * One session between a primary's replicator and a backup's store without a line: what either says is the other's
 * input at once. Both sides are the product's own, the link between them only counts.
 */
export class JoinedLine {
  readonly #parcels = new Map<ParcelId, Uint8Array>();
  readonly #expected = new Set<ParcelId>();
  readonly #kept = new Map<ParcelId, number>();
  #crossed: Crossed = { parcelBytes: 0, parcels: 0, messageBytes: 0, messages: 0 };
  readonly #source: SourceSession;
  readonly #target: TargetSession;
  readonly #troubles: string[] = [];

  constructor(
    readonly replicator: Replicator,
    readonly volume: string,
    readonly store: VolumeStore,
    /** What the primary takes the line for: it decides how large parcels are and how hard they are pressed. */
    readonly bytesPerSecond: number | undefined,
  ) {
    this.#target = new TargetSession({
      link: this.#backupEnd(),
      store: { volume: () => Promise.resolve(store) },
      log: silentLog,
      onApplied: (name, point) => this.#target.sayApplied(name, point.state.id),
      onTrouble: (_, text) => this.#troubles.push(text),
    });
    const hello: Hello = { name: 'vault', software: 'bench', copies: this.#copies(), complete: true };
    this.#source = new SourceSession(
      this.#primaryEnd(),
      hello,
      new Map([[volume, replicator]]),
      silentLog,
      () => undefined,
    );
  }

  get crossed(): Crossed {
    return this.#crossed;
  }

  /** What the backup had to complain of. */
  get troubles(): readonly string[] {
    return this.#troubles;
  }

  async end(): Promise<void> {
    this.#source.handleEnd();
    this.#target.handleEnd();
    await this.#target.settled();
  }

  #copies(): Hello['copies'] {
    const { volumeId, state } = this.store.status();
    if (volumeId === null) return [];
    return [{ kind: 'copy-status', volume: this.volume, volumeId, state: state?.id ?? null, capture: null }];
  }

  #primaryEnd(): SessionLink {
    return {
      ...silentEnd(this.bytesPerSecond),
      sendMessage: (bytes) => {
        this.#countMessage(bytes);
        setImmediate(() => this.#target.handleMessage(bytes));
      },
      sendParcel: (id, bytes) => {
        this.#parcels.set(id, bytes);
        this.#deliver(id);
      },
      withdrawParcel: (id) => {
        this.#parcels.delete(id);
        return [];
      },
    };
  }

  #backupEnd(): SessionLink {
    return {
      ...silentEnd(undefined),
      sendMessage: (bytes) => {
        this.#countMessage(bytes);
        setImmediate(() => this.#source.handleMessage(bytes));
      },
      expectParcel: (id) => {
        this.#expected.add(id);
        this.#deliver(id);
      },
      forgetParcel: (id) => this.#expected.delete(id),
      kept: (id, start, end) => {
        const kept = (this.#kept.get(id) ?? 0) + end - start;
        this.#kept.set(id, kept);
        setImmediate(() => {
          this.#source.handleProgress(id, kept);
          if (kept === this.#parcels.get(id)?.byteLength) this.#source.handleParcelHeld(id);
        });
      },
    };
  }

  #deliver(id: ParcelId): void {
    const bytes = this.#parcels.get(id);
    if (bytes === undefined || !this.#expected.delete(id)) return;
    const { parcelBytes, parcels } = this.#crossed;
    this.#crossed = { ...this.#crossed, parcelBytes: parcelBytes + bytes.byteLength, parcels: parcels + 1 };
    this.#kept.delete(id);
    setImmediate(() => {
      for (let at = 0; at < bytes.byteLength; at += SEGMENT_BYTES) {
        this.#target.handleSegment(id, at, bytes.subarray(at, at + SEGMENT_BYTES));
      }
    });
  }

  #countMessage(bytes: Uint8Array): void {
    const { messageBytes, messages } = this.#crossed;
    this.#crossed = {
      ...this.#crossed,
      messageBytes: messageBytes + bytes.byteLength,
      messages: messages + 1,
    };
  }
}

const silentEnd = (bytesPerSecond: number | undefined): SessionLink => ({
  bytesPerSecond,
  lastHeardAt: null,
  sendMessage: () => undefined,
  sendParcel: () => undefined,
  withdrawParcel: () => [],
  expectParcel: () => undefined,
  kept: () => undefined,
  refuseParcel: () => undefined,
  forgetParcel: () => undefined,
  attend: () => undefined,
  close: () => undefined,
});
