import { randomBytes } from 'node:crypto';
import { scanNodes, type BlockSource } from '../../protocol/compare/scan.js';
import { DigestTree } from '../../protocol/compare/tree.js';
import { isAnswerable } from '../../protocol/compare/walk.js';
import type { Compare, CompareAsk, Message } from '../../protocol/messages/message.js';
import type { Range } from '../../protocol/ranges.js';
import type { StateId } from '../../protocol/units.js';
import { StoreError } from '../store/errors.js';
import { readBlocks } from '../store/readable-blocks.js';
import type { StateReader, VolumeStore, VolumeStoreStatus } from '../store/volume-store.js';
import { SerialQueue } from '../platform/serial-queue.js';
import { ReplicationError } from './errors.js';

/**
 * One compare of a volume's copy, within one session: the backup's side. It reads the state that the image equals
 * when it begins, whatever is applied meanwhile, and answers what it is asked, in that order.
 */
export class ImageComparison {
  readonly #about: Pick<Compare, 'volume' | 'to' | 'serial'>;
  readonly #blocks: number;
  readonly #within: readonly Range[] | null;
  readonly #reader: StateReader;
  readonly #say: (message: Message) => void;
  readonly #abort = new AbortController();
  readonly #queue = new SerialQueue();
  readonly #tree: Promise<DigestTree>;
  readonly #onFailed: (error: Error) => void;

  /** Fails with StoreError when the copy is not one that can be compared with what the primary has. */
  static async begin(
    request: Compare,
    store: VolumeStore,
    say: (message: Message) => void,
    onFailed: (error: Error) => void,
  ): Promise<ImageComparison> {
    const state = checkRequest(request, store.status());
    // What has rotted is what a compare is to find.
    return new ImageComparison(request, await store.openState(state, 'unchecked'), say, onFailed);
  }

  private constructor(
    request: Compare,
    reader: StateReader,
    say: (message: Message) => void,
    onFailed: (error: Error) => void,
  ) {
    const { volume, to, serial, key, blockSize, blocks, within, why } = request;
    const image = new ImageSource(reader, blockSize, blocks);
    this.#about = { volume, to, serial };
    this.#blocks = blocks;
    this.#within = within ?? null;
    this.#reader = reader;
    this.#say = say;
    this.#onFailed = onFailed;
    const { signal } = this.#abort;
    this.#tree = DigestTree.grow(
      {
        ...{ key, blockSize, blocks, scan: (scan) => scanNodes(image, scan) },
        ...(within !== undefined && { within }),
      },
      signal,
    );
    // Nobody may be waiting for it any more.
    this.#tree.catch(() => undefined);
    this.#run(async () => {
      const { root } = await this.#tree;
      const heeded = within === undefined && why === undefined ? {} : ({ heeded: true } as const);
      say({ kind: 'compare-root', ...this.#about, state: reader.state, root, ...heeded });
    });
  }

  /** What is compared: a state of the image, and of it only these blocks; null: all. */
  get bounds(): { readonly state: StateId; readonly within: readonly Range[] | null } {
    return { state: this.#reader.state.id, within: this.#within };
  }

  /** Does a message belong to this compare. */
  isAbout(message: { readonly to: string; readonly serial: number }): boolean {
    return message.to === this.#about.to && message.serial === this.#about.serial;
  }

  /** Answers a question, when those before it are answered. */
  answer(ask: CompareAsk): void {
    this.#run(async () => {
      if (!isAnswerable(ask, this.#blocks)) {
        throw new ReplicationError('refused', 'the primary asked for digests that there are not');
      }
      const tree = await this.#tree;
      const digests = await tree.answer(ask, this.#abort.signal);
      this.#say({ kind: 'compare-digests', ...this.#about, digests });
    });
  }

  /** Ends it; resolves when it reads no more. */
  async close(): Promise<void> {
    this.#abort.abort(new ReplicationError('closed', 'the compare is over'));
    await this.#queue.idle();
    await this.#reader.close();
  }

  #run(work: () => Promise<void>): void {
    void this.#queue
      .run(async () => {
        if (!this.#abort.signal.aborted) await work();
      })
      .catch((error: unknown) => {
        if (this.#abort.signal.aborted) return;
        this.#abort.abort(error);
        this.#onFailed(error as Error);
      });
  }
}

/** The state to compare, which the copy has. */
function checkRequest(
  { volumeId, blockSize, blocks }: Compare,
  status: VolumeStoreStatus,
): NonNullable<VolumeStoreStatus['state']>['id'] {
  const name = `${status.primary}/${status.volume}`;
  if (status.state === null) {
    throw new StoreError('base-mismatch', `there is no finished copy of ${name} to compare with`);
  }
  if (status.volumeId !== volumeId) {
    throw new StoreError('other-volume', `the store holds another volume as ${name}`);
  }
  if (status.blockSize !== blockSize || status.state.size > blocks * blockSize) {
    throw new StoreError(
      'geometry-mismatch',
      `the copy of ${name} has ${status.state.size} bytes in blocks of ${status.blockSize ?? 0}, the volume ${blocks * blockSize} in blocks of ${blockSize}`,
    );
  }
  return status.state.id;
}

/** A state of the store as blocks; past its end it is zeros, as a volume that grew is. */
class ImageSource implements BlockSource {
  constructor(
    readonly reader: StateReader,
    readonly blockSize: number,
    readonly blocks: number,
  ) {}

  async next(from: number, limit: number): Promise<Range | null> {
    const { size } = this.reader.state;
    const start = from * this.blockSize;
    const data = start >= size ? null : await this.reader.nextData(start);
    if (data === null || data.start >= limit * this.blockSize) return null;
    return {
      start: Math.max(from, Math.floor(data.start / this.blockSize)),
      end: Math.min(limit, Math.ceil(data.end / this.blockSize)),
    };
  }

  async read(start: number, count: number): Promise<Uint8Array> {
    const content = new Uint8Array(count * this.blockSize);
    const position = start * this.blockSize;
    const held = Math.max(0, Math.min(content.byteLength, this.reader.state.size - position));
    const unreadable = await readBlocks(content.subarray(0, held), this.blockSize, (into, place) =>
      this.reader.read(into, position + place * this.blockSize),
    );
    // What the disk does not give differs from whatever the primary has.
    for (const place of unreadable) content.set(randomBytes(this.blockSize), place * this.blockSize);
    return content;
  }
}
