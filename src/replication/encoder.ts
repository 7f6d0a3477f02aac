import { Worker } from 'node:worker_threads';
import type { ParcelContent } from '../../protocol/parcel/parcel.js';
import type { EncodeAnswer, EncodeRequest } from './encoder-thread.js';
import { ReplicationError } from './errors.js';
import type { EncodedParcel, EncodingQuality } from './parcel-encoding.js';

/** What encodes parcels; `Encoder` does it in a thread. */
export interface ParcelEncoder {
  encode(parcel: ParcelContent, quality: EncodingQuality, signal: AbortSignal): Promise<EncodedParcel>;
}

/**
 * Encodes parcels in a thread of its own, one at a time, so that brotli at its slowest neither blocks the links nor
 * takes a place in the thread pool that serves volume I/O. The thread is started when first needed; aborting a
 * request ends the thread at once and the next request starts a new one.
 */
export class Encoder implements ParcelEncoder {
  #worker: Worker | null = null;
  #queue: Promise<unknown> = Promise.resolve();

  /** Takes over `parcel.content`. Fails with the signal's reason, or `encoder-died`. */
  encode(parcel: ParcelContent, quality: EncodingQuality, signal: AbortSignal): Promise<EncodedParcel> {
    const run = this.#queue.then(() => this.#encodeNow({ parcel, quality }, signal));
    this.#queue = run.catch(() => undefined);
    return unlessAborted(run, signal);
  }

  async close(): Promise<void> {
    await this.#stop();
  }

  #encodeNow(request: EncodeRequest, signal: AbortSignal): Promise<EncodedParcel> {
    signal.throwIfAborted();
    const worker = (this.#worker ??= this.#start());
    return new Promise((resolve, reject) => {
      const settle = (act: () => void): void => {
        signal.removeEventListener('abort', onAbort);
        worker.off('message', onAnswer).off('error', onError).off('exit', onExit);
        act();
      };
      const onAnswer = (answer: EncodeAnswer): void => {
        settle(() => {
          if ('ok' in answer) resolve(answer.ok);
          else reject(new ReplicationError('encoder-died', `encoding failed: ${answer.failed}`));
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
