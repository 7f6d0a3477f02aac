import type { BlockSpan } from '../../protocol/parcel/delta-layout.js';
import type { DeltaNeeds, DeltaReferences } from '../../protocol/parcel/delta.js';
import type { StateInfo } from '../../protocol/state.js';
import type { ParcelId, StateId } from '../../protocol/units.js';
import type { Files } from '../platform/files.js';
import { unfit } from './arrived-parcel.js';
import { readImageSpans, readParcelSpans } from './delta-references.js';
import { StoreError } from './errors.js';
import type { Image } from './image.js';
import { ParcelFile } from './parcel-file.js';

export interface CaptureReferencesOptions {
  readonly files: Files;
  readonly image: Image;
  /** The state that the image equals now; null: none. */
  readonly base: () => StateInfo | null;
  /** The state that the set starts from. */
  readonly from: StateId | null;
  /** How far a parcel of the set is; undefined: it is not held. */
  readonly kindOf: (id: ParcelId) => 'arriving' | 'decoded' | undefined;
  /** Where a decoded parcel is. */
  readonly pathOf: (id: ParcelId) => string;
}

/** What the deltas of a set refer to, and which of them wait for a parcel that is still on its way. */
export class CaptureReferences {
  readonly #options: CaptureReferencesOptions;
  /** Whole parcels that are not decoded, and what each of them refers to that was on its way when it was looked at. */
  readonly #waiting = new Map<ParcelId, readonly ParcelId[]>();

  constructor(options: CaptureReferencesOptions) {
    this.#options = options;
  }

  /**
   * What parcel `id` refers to, read while the image is the base state's. null: some of it is on its way; the parcel is
   * remembered for `nextReady`. Rejects with `ReferenceMismatch` if it is not here.
   */
  async read(id: ParcelId, needs: DeltaNeeds): Promise<DeltaReferences | null> {
    const { image, base, from } = this.#options;
    const isAtBase = (): boolean => (base()?.id ?? null) === from;
    const waitsFor = needs.parcels.map((parcel) => parcel.id).filter((each) => this.#isComing(each));
    if (waitsFor.length > 0) {
      this.#waiting.set(id, waitsFor);
      return null;
    }
    if (!isAtBase()) throw unfit(id, needs, 'refers to a state that the image is not at');
    const parcels: Uint8Array[] = [];
    for (const { id: other, spans } of needs.parcels) {
      const content = await this.#readDecoded(other, spans);
      if (content === null) throw unfit(id, needs, `refers to blocks of parcel ${other} that are not held`);
      parcels.push(content);
    }
    const content = await readImageSpans(image, base()?.size ?? 0, needs.base, needs.blockSize);
    if (!isAtBase()) throw unfit(id, needs, 'refers to a state that the image has left');
    return { base: content, parcels };
  }

  /** A waiting parcel of which nothing that it refers to is on its way any more. */
  nextReady(): ParcelId | undefined {
    for (const [id, needed] of this.#waiting) if (!needed.some((each) => this.#isComing(each))) return id;
    return undefined;
  }

  /** A parcel waits no longer. */
  forget(id: ParcelId): void {
    this.#waiting.delete(id);
  }

  #isComing(id: ParcelId): boolean {
    return this.#options.kindOf(id) === 'arriving';
  }

  /** Blocks of a decoded parcel; null if it is not there, or has gone bad. */
  async #readDecoded(id: ParcelId, spans: readonly BlockSpan[]): Promise<Uint8Array | null> {
    const { files, image, kindOf, pathOf } = this.#options;
    if (kindOf(id) !== 'decoded') return null;
    let file: ParcelFile | null = null;
    try {
      file = await ParcelFile.open(files, pathOf(id));
      return await readParcelSpans(file, image, spans);
    } catch (cause) {
      if (!(cause instanceof StoreError) || cause.code !== 'damaged') throw cause;
      return null;
    } finally {
      await file?.close();
    }
  }
}
