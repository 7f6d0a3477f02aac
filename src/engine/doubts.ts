import type { Clock } from '../platform/clock.js';
import { SerialQueue } from '../platform/serial-queue.js';
import { distrusted, type Distrust, type NotedDoubt } from './distrust.js';
import type { History } from './history.js';
import { withDoubt, type Identity } from './identity.js';
import type { Doubt } from './left-behind.js';
import type { IdentityRecord } from './volume-record.js';

export interface DoubtsOptions {
  readonly identity: Identity;
  readonly history: History;
  readonly clock: Clock;
}

/**
 * What may have happened to a volume without a mark: the doubts that `volume.json` has, and those that are to be there and
 * could not be written yet. A doubt is over when nobody's base is of before it. That record is changed here only, one
 * change after the other.
 */
export class Doubts {
  readonly #history: History;
  readonly #clock: Clock;
  readonly #changes = new SerialQueue();
  #identity: Identity;
  /** States of a lower ordinal are in doubt. */
  readonly #unsaved = new Set<Doubt & { readonly ordinal: number }>();

  constructor({ identity, history, clock }: DoubtsOptions) {
    this.#identity = identity;
    this.#history = history;
    this.#clock = clock;
  }

  /** `volume.json`, as it is on disk. */
  get record(): IdentityRecord {
    return this.#identity.record;
  }

  get all(): readonly NotedDoubt[] {
    return [...this.record.doubts, ...this.#unsaved];
  }

  /** Some could not be written yet. */
  get isUnsaved(): boolean {
    return this.#unsaved.size > 0;
  }

  /** By owners of pins. */
  get distrusted(): Readonly<Record<string, Distrust>> {
    return distrusted(this.#history, this.all);
  }

  /** Counts at once; `save` makes it last. */
  add(doubt: Doubt): void {
    this.#unsaved.add({ ...doubt, ordinal: this.#history.record.nextOrdinal });
  }

  /** Resolves when all doubts are on disk; `onSaved` is called in that very moment. */
  save(onSaved: () => void): Promise<void> {
    return this.#changes.run(async () => {
      for (const doubt of this.#unsaved) {
        const doubts = withDoubt(this.record.doubts, this.#clock, doubt, doubt.ordinal);
        this.#identity = await this.#identity.change({ doubts });
        this.#unsaved.delete(doubt);
      }
      onSaved();
    });
  }

  /** Doubts are over when nobody's base is of before them: each copy was compared since, or made anew. */
  dispel(): Promise<void> {
    return this.#changes.run(async () => {
      const { pins } = this.#history.record;
      if (pins.length === 0 || Object.keys(this.distrusted).length > 0) return;
      this.#identity = await this.#identity.change({ doubts: [] });
    });
  }

  /** Changes something else of the record; durable when it resolves. */
  change(fields: Pick<Partial<IdentityRecord>, 'clean' | 'stateIdentity'>): Promise<void> {
    return this.#changes.run(async () => {
      this.#identity = await this.#identity.change(fields);
    });
  }
}
