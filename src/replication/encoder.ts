import { Worker } from 'node:worker_threads';
import type { ParcelContent } from '../../protocol/parcel/parcel.js';
import type { BlockIndex, ParcelId } from '../../protocol/units.js';
import type { BaseBlocks } from '../engine/volume-service.js';
import type { BaseAnswer, EncodeRequest, EncoderAnswer, NoteRequest } from './encoder-thread.js';
import { ReplicationError } from './errors.js';
import type { EncodedParcel, EncodingQuality } from './parcel-encoding.js';
import type { ContentNoter } from './volume-index.js';

/** What the far side holds when it decodes a parcel. */
export interface ParcelReferences {
  /** Under which the parcel will be spooled: those after it may refer to it. */
  readonly id: ParcelId;
  /** Parcels of the same set before it, oldest first. */
  readonly earlier: readonly ParcelId[];
  /** What its blocks with content held in the base state; null: there is none. Handed over. */
  readonly before: BaseBlocks | null;
  /** Reads blocks of the base state, ascending; null: there is none. */
  readonly readBase: ((blocks: readonly BlockIndex[]) => Promise<BaseBlocks>) | null;
  /** Of a `ReferenceIndex` of the base state; null: there is none. */
  readonly index: SharedArrayBuffer | null;
}

/** What encodes parcels; `Encoder` does it in a thread. */
export interface ParcelEncoder {
  /** `references` null: on its own, in the plain forms that any backup reads. */
  encode(
    parcel: ParcelContent,
    quality: EncodingQuality,
    references: ParcelReferences | null,
    signal: AbortSignal,
  ): Promise<EncodedParcel>;
}

/**
 * Encodes parcels in a thread of its own, one at a time, so that brotli at its slowest neither blocks the links nor
 * takes a place in the thread pool that serves volume I/O. The thread is started when first needed; aborting a
 * request ends the thread at once and the next request starts a new one.
 */
export class Encoder implements ParcelEncoder, ContentNoter {
  #worker: Worker | null = null;
  #queue: Promise<unknown> = Promise.resolve();
  readonly #closing = new AbortController();

  /** @param onTrouble a parcel was encoded without references because of this */
  constructor(readonly onTrouble: (text: string) => void = () => undefined) {}

  /** Takes over `parcel.content`. Fails with the signal's reason, or `encoder-died`. */
  encode(
    parcel: ParcelContent,
    quality: EncodingQuality,
    references: ParcelReferences | null,
    signal: AbortSignal,
  ): Promise<EncodedParcel> {
    const { id = null, earlier = [], before = null, readBase = null, index = null } = references ?? {};
    const request: EncodeRequest = {
      kind: 'encode',
      parcel,
      quality,
      references: { id, earlier, before, hasBase: readBase !== null, index },
    };
    const run = this.#queue.then(() => this.#ask(request, readBase, signal)).then(encodedOf);
    this.#queue = run.catch(() => undefined);
    return unlessAborted(run, signal);
  }

  /** Fails with `encoder-died`, or `closed`. Parcels that are asked for meanwhile wait for it: a millisecond or two. */
  async note(index: SharedArrayBuffer, blockSize: number, start: number, content: Uint8Array): Promise<void> {
    const request: NoteRequest = { kind: 'note', index, blockSize, start, content };
    const run = this.#queue.then(() => this.#ask(request, null, this.#closing.signal));
    this.#queue = run.catch(() => undefined);
    await run;
  }

  async close(): Promise<void> {
    this.#closing.abort(new ReplicationError('closed', 'encoding is stopped'));
    await this.#stop();
  }

  #ask(
    request: EncodeRequest | NoteRequest,
    readBase: ParcelReferences['readBase'],
    signal: AbortSignal,
  ): Promise<EncoderAnswer> {
    signal.throwIfAborted();
    const worker = (this.#worker ??= this.#start());
    return new Promise((resolve, reject) => {
      const settle = (act: () => void): void => {
        signal.removeEventListener('abort', onAbort);
        worker.off('message', onAnswer).off('error', onError).off('exit', onExit);
        act();
      };
      const onAnswer = (answer: EncoderAnswer): void => {
        if (answer.kind === 'wanted') {
          void readOrNull(readBase, answer.blocks).then((blocks) => {
            if (worker === this.#worker) worker.postMessage({ kind: 'base', blocks } satisfies BaseAnswer);
          });
          return;
        }
        settle(() => {
          if (answer.kind === 'failed') {
            reject(new ReplicationError('encoder-died', `encoding failed: ${answer.message}`));
            return;
          }
          if (answer.kind === 'encoded' && answer.parcel.trouble !== undefined)
            this.onTrouble(answer.parcel.trouble);
          resolve(answer);
        });
      };
      const onAbort = (): void => {
        settle(() => {
          void this.#stop().finally(() => {
            reject(signal.reason as Error);
          });
        });
      };
      const onError = (cause: Error): void => {
        this.#worker = null;
        settle(() => {
          reject(
            new ReplicationError('encoder-died', `the encoder thread failed: ${cause.message}`, { cause }),
          );
        });
      };
      const onExit = (): void => {
        this.#worker = null;
        settle(() => {
          reject(new ReplicationError('encoder-died', 'the encoder thread ended'));
        });
      };
      worker.on('message', onAnswer).on('error', onError).on('exit', onExit);
      signal.addEventListener('abort', onAbort, { once: true });
      worker.postMessage(request);
    });
  }

  #start(): Worker {
    const worker = new Worker(new URL('./encoder-thread.js', import.meta.url));
    worker.unref();
    return worker;
  }

  async #stop(): Promise<void> {
    const worker = this.#worker;
    this.#worker = null;
    await worker?.terminate();
  }
}

function encodedOf(answer: EncoderAnswer): EncodedParcel {
  if (answer.kind !== 'encoded')
    throw new ReplicationError('encoder-died', 'the encoder answers out of turn');
  return answer.parcel;
}

async function readOrNull(
  readBase: ParcelReferences['readBase'],
  blocks: readonly BlockIndex[],
): Promise<BaseBlocks | null> {
  try {
    return (await readBase?.(blocks)) ?? null;
  } catch {
    // The parcel then does without: a reference is never more than a saving.
    return null;
  }
}

/** Whoever does not want the parcel any more need not wait for those of others in front of it. */
async function unlessAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  let onAbort: () => void = () => undefined;
  const aborted = new Promise<never>((_, reject) => {
    onAbort = () => reject(signal.reason as Error);
    if (signal.aborted) onAbort();
    else signal.addEventListener('abort', onAbort, { once: true });
  });
  try {
    return await Promise.race([work, aborted]);
  } finally {
    signal.removeEventListener('abort', onAbort);
  }
}
