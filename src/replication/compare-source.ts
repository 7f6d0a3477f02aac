import { FAN_OUT } from '../../protocol/compare/digest.js';
import type { Scanned, ScanRequest } from '../../protocol/compare/scan.js';
import { DigestTree } from '../../protocol/compare/tree.js';
import { CompareWalk, type Ask } from '../../protocol/compare/walk.js';
import { encodeMessage } from '../../protocol/messages/codec.js';
import type { CompareDigests, CompareRoot, Message } from '../../protocol/messages/message.js';
import type { Range } from '../../protocol/ranges.js';
import type { StateInfo } from '../../protocol/state.js';
import type { StateId, VolumeId } from '../../protocol/units.js';
import type { VolumeService } from '../engine/volume-service.js';
import type { SessionLink } from './call.js';
import { ReplicationError } from './errors.js';
import { scanKnown, type KnownDigests } from './known-digests.js';

export interface ComparisonOptions {
  readonly volumeName: string;
  readonly volumeId: VolumeId;
  readonly blockSize: number;
  readonly volume: VolumeService;
  /** The volume's state that is compared; pinned until the comparison is over. */
  readonly state: StateInfo;
  /** 16 random bytes. */
  readonly key: Uint8Array;
  /** Digests under that key that were kept of the state, which may not be readable any more; null: none. */
  readonly known: KnownDigests | null;
  /** Another one for each comparison in a session. */
  readonly serial: number;
  readonly session: SessionLink;
  /** The only blocks that can differ beside those that are marked as changed since `from`; null: any can. */
  readonly doubt: CompareDoubt | null;
  /** Told to the backup's operator; null: it was asked for. */
  readonly why: string | null;
}

/** What is in doubt of the changes since a copy's state. */
export interface CompareDoubt {
  readonly from: StateId;
  /** Blocks; ascending, disjoint, `MAX_COMPARED_RANGES` at the most. */
  readonly within: readonly Range[];
}

/** The backup does not know of compares that are confined to some blocks: it has digested all. */
export class NotConfined extends Error {
  override readonly name = 'NotConfined';
}

/** What a comparison has found. */
export interface Compared {
  /** The far copy's state. */
  readonly copy: StateInfo;
  readonly differing: readonly Range[];
  readonly blocks: number;
}

/** Below this rate a question goes down one level at a time: bytes count for more than round trips. */
const SLOW_BYTES_PER_SECOND = 20_000;

/** One compare of a volume's state with a far copy, within one session: the primary's side. */
export class Comparison {
  readonly #options: ComparisonOptions;
  readonly #abort = new AbortController();
  readonly #inbox: (CompareRoot | CompareDigests)[] = [];
  #arrived: () => void = () => undefined;
  #scanned = 0;
  #isAnswered = false;
  #isHeeded = false;

  constructor(options: ComparisonOptions) {
    this.#options = options;
  }

  get state(): StateInfo {
    return this.#options.state;
  }

  get doubt(): CompareDoubt | null {
    return this.#options.doubt;
  }

  get why(): string | null {
    return this.#options.why;
  }

  /** It says more than every backup knows of. */
  get isExtended(): boolean {
    return this.doubt !== null || this.why !== null;
  }

  /** The backup has told its root. */
  get isAnswered(): boolean {
    return this.#isAnswered;
  }

  /** How much of the state has been digested, in blocks. */
  get progress(): { readonly done: number; readonly total: number } {
    return { done: Math.min(this.#scanned, this.#blocks), total: this.#blocks };
  }

  /**
   * Resolves with what differs. Rejects with `StateGone` when the state can no longer be read, with ReplicationError
   * `refused` when the backup does not compare, `closed` when aborted, with `NotConfined`.
   */
  async run(): Promise<Compared> {
    const { volumeName: volume, volumeId, blockSize, state, key, known, serial, session } = this.#options;
    const { signal } = this.#abort;
    const scanState = (request: ScanRequest): Promise<Scanned> => this.#scan(request);
    const scan = known === null ? scanState : scanKnown(known, scanState);
    const about = { volume, to: state.id, serial };
    const confined = this.doubt === null ? {} : { within: this.doubt.within };
    session.sendMessage(
      encodeMessage({
        kind: 'compare',
        ...about,
        volumeId,
        blockSize,
        blocks: this.#blocks,
        key,
        ...confined,
        ...(this.why !== null && { why: this.why }),
      }),
    );
    // Both sides digest at the same time.
    const growing = DigestTree.grow({ key, blockSize, blocks: this.#blocks, scan, ...confined }, signal);
    growing.catch((error: unknown) => this.abort(error as Error));
    const first = await this.#next();
    if (first.kind !== 'compare-root') throw unexpected();
    this.#isAnswered = true;
    this.#isHeeded = first.heeded === true;
    if (this.doubt !== null && !this.#isHeeded) throw new NotConfined();
    const tree = await growing;
    const rootsDiffer = Buffer.compare(first.root, tree.root) !== 0;
    const walk = new CompareWalk(this.#blocks, this.#depth, rootsDiffer);
    const asked: Ask[] = [];
    for (;;) {
      for (let ask = walk.nextAsk(); ask !== undefined; ask = walk.nextAsk()) {
        asked.push(ask);
        session.sendMessage(encodeMessage({ kind: 'compare-ask', ...about, ...ask }));
      }
      const ask = asked.shift();
      if (ask === undefined) break;
      const ours = await tree.answer(ask, signal);
      const answer = await this.#next();
      if (answer.kind !== 'compare-digests' || answer.digests.byteLength !== ours.byteLength)
        throw unexpected();
      walk.take(ask, answer.digests, ours);
    }
    const { ranges, size } = walk.differing;
    this.#sayOver(size);
    return { copy: first.state, differing: [...ranges], blocks: size };
  }

  /** A message of the backup about this volume; answers whether it belongs here. */
  handleMessage(message: Message): boolean {
    const { state, serial } = this.#options;
    if (!('to' in message) || message.to !== state.id) return false;
    if (message.kind === 'refused') {
      this.abort(new ReplicationError('refused', message.text));
      return true;
    }
    if (message.kind !== 'compare-root' && message.kind !== 'compare-digests') return false;
    if (message.serial !== serial) return true;
    this.#inbox.push(message);
    this.#arrived();
    return true;
  }

  abort(reason: Error = new ReplicationError('closed', 'the compare is not wanted any more')): void {
    if (this.#abort.signal.aborted) return;
    this.#abort.abort(reason);
    this.#sayOver();
    this.#arrived();
  }

  get #blocks(): number {
    return this.#options.state.size / this.#options.blockSize;
  }

  get #depth(): number {
    const rate = this.#options.session.bytesPerSecond;
    return rate !== undefined && rate < SLOW_BYTES_PER_SECOND ? 1 : 2;
  }

  async #scan(request: ScanRequest): Promise<Scanned> {
    const { volume, state } = this.#options;
    const scanned = await volume.digests({ ...request, state: state.id });
    this.#scanned += scanned.done * FAN_OUT ** request.level;
    return scanned;
  }

  #sayOver(differing?: number): void {
    const { volumeName: volume, state, serial, session } = this.#options;
    const found = this.#isHeeded && differing !== undefined ? { differing } : {};
    session.sendMessage(encodeMessage({ kind: 'compare-over', volume, to: state.id, serial, ...found }));
  }

  async #next(): Promise<CompareRoot | CompareDigests> {
    for (;;) {
      this.#abort.signal.throwIfAborted();
      const message = this.#inbox.shift();
      if (message !== undefined) return message;
      await new Promise<void>((resolve) => {
        this.#arrived = resolve;
      });
    }
  }
}

const unexpected = (): ReplicationError =>
  new ReplicationError('refused', 'the backup answered another question than the one asked');
