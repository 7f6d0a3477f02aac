import type { Compare, CompareAsk, CompareOver, Message } from '../../protocol/messages/message.js';
import type { VolumeStore } from '../store/volume-store.js';
import { ImageComparison } from './compare-target.js';

/** The compares that a backup's session answers, one of each volume at a time: a new one ends the one before it. */
export class ImageComparisons {
  readonly #say: (message: Message) => void;
  readonly #onFailed: (request: Compare, error: Error) => void;
  readonly #onCompared: (volume: string, differing: number) => void;
  readonly #current = new Map<string, ImageComparison>();
  readonly #endings = new Set<Promise<void>>();
  #over = false;

  constructor(
    say: (message: Message) => void,
    onFailed: (request: Compare, error: Error) => void,
    /** The primary has told what it found. */
    onCompared: (volume: string, differing: number) => void,
  ) {
    this.#say = say;
    this.#onFailed = onFailed;
    this.#onCompared = onCompared;
  }

  /** Fails with StoreError as `ImageComparison.begin`. */
  async begin(request: Compare, store: VolumeStore): Promise<void> {
    this.#end(request.volume);
    const comparison = await ImageComparison.begin(request, store, this.#say, (error) =>
      this.#onFailed(request, error),
    );
    this.#current.set(request.volume, comparison);
    if (this.#over) this.#end(request.volume);
  }

  /** A message about a compare that is over means nothing any more. */
  handleMessage(message: CompareAsk | CompareOver): void {
    const comparison = this.#current.get(message.volume);
    if (comparison?.isAbout(message) !== true) return;
    if (message.kind === 'compare-ask') {
      comparison.answer(message);
      return;
    }
    this.#end(message.volume);
    if (message.differing !== undefined) this.#onCompared(message.volume, message.differing);
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

  #end(volume: string): void {
    const ending = this.#current.get(volume)?.close();
    this.#current.delete(volume);
    if (ending === undefined) return;
    this.#endings.add(ending);
    void ending.catch(() => undefined).finally(() => this.#endings.delete(ending));
  }
}
