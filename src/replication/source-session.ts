import { ProtocolError } from '../../protocol/errors.js';
import { decodeMessage } from '../../protocol/messages/codec.js';
import type { CopyStatus, Hello, Message } from '../../protocol/messages/message.js';
import type { ParcelId } from '../../protocol/units.js';
import type { Log } from '../platform/log.js';
import type { Session, SessionLink } from './call.js';
import { ParcelLane } from './parcel-lane.js';
import type { Replicator } from './replicator.js';

/**
 * The primary's side of a session: gives each volume's replicator the line and the place its copy stands at, and
 * hands on what the backup says.
 */
export class SourceSession implements Session {
  readonly #lane: ParcelLane;
  readonly #replicators: ReadonlyMap<string, Replicator>;
  readonly #log: Log;
  readonly #onTold: () => void;
  readonly #attached = new Set<string>();

  /** `onTold` is called when the backup has told where every copy stands, maybe at once. */
  constructor(
    link: SessionLink,
    hello: Hello,
    replicators: ReadonlyMap<string, Replicator>,
    log: Log,
    onTold: () => void,
  ) {
    this.#lane = new ParcelLane(link);
    this.#replicators = replicators;
    this.#log = log;
    this.#onTold = onTold;
    for (const copy of hello.copies) this.#attach(copy);
    if (hello.complete) this.#attachRest();
  }

  handleMessage(bytes: Uint8Array): void {
    let message: Message;
    try {
      message = decodeMessage(bytes);
    } catch (error) {
      if (!(error instanceof ProtocolError)) throw error;
      this.#log.warn('The backup sent a message that breaks the protocol; the call is ended.', {
        err: error,
      });
      this.#lane.close('failed');
      return;
    }
    switch (message.kind) {
      case 'copy-status':
        this.#attach(message);
        return;
      case 'copies-told':
        this.#attachRest();
        return;
      case 'suspect':
        // It may be told before the copy's place is.
        this.#replicators.get(message.volume)?.heedSuspect(message);
        return;
      case 'durable':
      case 'applied':
      case 'refused':
      case 'spoiled':
      case 'base-mismatch':
      case 'compare-root':
      case 'compare-digests':
        if (this.#attached.has(message.volume)) this.#replicators.get(message.volume)?.handleMessage(message);
        return;
      case 'offer':
      case 'announce':
      case 'withdraw':
      case 'commit':
      case 'compare':
      case 'compare-ask':
      case 'compare-over':
        // A primary's own words; from a backup they mean nothing.
        return;
      default:
        message satisfies never;
    }
  }

  handleSegment(): void {
    // Content only ever flows to the backup.
  }

  handleProgress(parcel: ParcelId, held: number): void {
    for (const replicator of this.#replicators.values()) replicator.handleProgress(parcel, held);
  }

  handleParcelHeld(parcel: ParcelId): void {
    this.#lane.handleParcelHeld(parcel);
    for (const replicator of this.#replicators.values()) replicator.handleParcelHeld(parcel);
  }

  handleEnd(): void {
    for (const name of this.#attached) this.#replicators.get(name)?.detach(this.#lane);
  }

  /** A second time: what the hello said was overtaken by another session. */
  #attach(copy: CopyStatus): void {
    const replicator = this.#replicators.get(copy.volume);
    if (replicator === undefined) return;
    this.#attached.add(copy.volume);
    replicator.attach(this.#lane, copy);
  }

  #attachRest(): void {
    for (const volume of this.#replicators.keys()) {
      if (this.#attached.has(volume)) continue;
      this.#attach({ kind: 'copy-status', volume, volumeId: null, state: null, capture: null });
    }
    this.#onTold();
  }
}
