import type { Compare, CompareAsk, CompareOver, Message } from '../../protocol/messages/message.js';
import type { Range } from '../../protocol/ranges.js';
import type { StateId } from '../../protocol/units.js';
import type { VolumeStore } from '../store/volume-store.js';
import { ImageComparison } from './compare-target.js';

/** What the primary has told that it found. */
export interface ImageFinding {
  readonly volume: string;
  /** The image's state that was compared. */
  readonly state: StateId;
  /** The blocks that were; null: all. */
  readonly within: readonly Range[] | null;
  /** The primary's state that it was compared with. */
  readonly like: StateId;
  /** Blocks that differ. */
  readonly differing: number;
}

/** The compares that a backup's session answers, one of each volume at a time: a new one ends the one before it. */
export class ImageComparisons {
  readonly #say: (message: Message) => void;
  readonly #onFailed: (request: Compare, error: Error) => void;
  readonly #onCompared: (finding: ImageFinding) => void;
  readonly #current = new Map<string, ImageComparison>();
  /** Asked for, and not begun yet: what is asked for first may take long. */
  readonly #awaited = new Map<string, Compare>();
  readonly #endings = new Set<Promise<void>>();
  #over = false;

  constructor(
    say: (message: Message) => void,
    onFailed: (request: Compare, error: Error) => void,
    /** The primary has told what it found. */
    onCompared: (finding: ImageFinding) => void,
  ) {
    this.#say = say;
    this.#onFailed = onFailed;
    this.#onCompared = onCompared;
  }

  /** Is one asked for or answered, in which nothing may be said for as long as the volume takes to be read. */
  get areUnderWay(): boolean {
    return this.#current.size > 0 || this.#awaited.size > 0;
  }

  /** The primary asks for a compare, which will be begun when it is its turn. */
  expect(request: Compare): void {
    this.#awaited.set(request.volume, request);
  }

  /** Begins an expected compare, unless it is over by now. Fails with StoreError as `ImageComparison.begin`. */
  async begin(request: Compare, store: VolumeStore): Promise<void> {
    const { volume } = request;
    if (!this.#isAwaited(request)) return;
    this.#end(volume);
    try {
      const comparison = await ImageComparison.begin(request, store, this.#say, (error) =>
        this.#onFailed(request, error),
      );
      this.#current.set(volume, comparison);
      if (!this.#isAwaited(request)) this.#end(volume);
    } finally {
      this.forget(request);
    }
  }

  /** An expected compare will not be begun. */
  forget(request: Compare): void {
    if (this.#awaited.get(request.volume) === request) this.#awaited.delete(request.volume);
  }

  /** A message about a compare that is over means nothing any more. */
  handleMessage(message: CompareAsk | CompareOver): void {
    const awaited = this.#awaited.get(message.volume);
    if (message.kind === 'compare-over' && awaited?.to === message.to && awaited.serial === message.serial)
      this.forget(awaited);
    const comparison = this.#current.get(message.volume);
    if (comparison?.isAbout(message) !== true) return;
    if (message.kind === 'compare-ask') {
      comparison.answer(message);
      return;
    }
    this.#end(message.volume);
    const { volume, differing, to } = message;
    if (differing !== undefined) this.#onCompared({ volume, ...comparison.bounds, like: to, differing });
  }

  /** The session is over. */
  end(): void {
    this.#over = true;
    for (const volume of [...this.#current.keys()]) this.#end(volume);
  }

  /** Resolves when what was ended reads no more. */
  async settled(): Promise<void> {
    await Promise.all(this.#endings);
  }

  #isAwaited(request: Compare): boolean {
    return !this.#over && this.#awaited.get(request.volume) === request;
  }

  #end(volume: string): void {
    const ending = this.#current.get(volume)?.close();
    this.#current.delete(volume);
    if (ending === undefined) return;
    this.#endings.add(ending);
    void ending.catch(() => undefined).finally(() => this.#endings.delete(ending));
  }
}
