import { Worker } from 'node:worker_threads';
import type { DiskCounts, DiskOrder, DiskReport, DiskThreadData } from './cut-disk-thread.js';

type Answer<K extends DiskReport['kind']> = Extract<DiskReport, { readonly kind: K }>;

/** A CutDisk that a thread of its own serves over NBD. */
export class ServedDisk {
  readonly #waiting = new Map<
    string,
    { resolve: (report: DiskReport) => void; reject: (cause: Error) => void }
  >();

  private constructor(private readonly worker: Worker) {
    worker.on('message', (report: DiskReport) => {
      this.#waiting.get(report.kind)?.resolve(report);
      this.#waiting.delete(report.kind);
    });
    worker.on('error', (cause) => this.#lose(cause));
    worker.on('exit', () => this.#lose(new Error('the thread of the disk has ended')));
  }

  /** Resolves when it listens. The content goes over to the disk and cannot be used any more. */
  static async serve(data: DiskThreadData): Promise<ServedDisk> {
    const worker = new Worker(new URL('./cut-disk-thread.js', import.meta.url), {
      workerData: data,
      transferList: [data.content.buffer],
    });
    const served = new ServedDisk(worker);
    await served.#answer('serving');
    return served;
  }

  async counts(): Promise<DiskCounts> {
    return (await this.#ask('count', { kind: 'count' })).counts;
  }

  /** `CutDisk.lie` */
  async lie(): Promise<void> {
    await this.#ask('lie', { kind: 'lie' });
  }

  /**
   * Cuts the power before the operation that follows so many others, or after `patienceMs`; the process groups of
   * `pids` are killed in the same tick. What is on the disk then.
   */
  async cut(
    operations: number,
    patienceMs: number,
    pids: readonly number[],
  ): Promise<Uint8Array<ArrayBuffer>> {
    return (await this.#ask('cut', { kind: 'cut', operations, patienceMs, pids })).left;
  }

  /** Who uses the disk must have let go of it. */
  async close(): Promise<void> {
    await this.#ask('close', { kind: 'close' });
    await this.worker.terminate();
  }

  #ask<K extends DiskReport['kind']>(kind: K, order: DiskOrder): Promise<Answer<K>> {
    const answer = this.#answer(kind);
    this.worker.postMessage(order);
    return answer;
  }

  async #answer<K extends DiskReport['kind']>(kind: K): Promise<Answer<K>> {
    const report = await new Promise<DiskReport>((resolve, reject) =>
      this.#waiting.set(kind, { resolve, reject }),
    );
    return report as Answer<K>;
  }

  #lose(cause: Error): void {
    for (const { reject } of this.#waiting.values()) reject(cause);
    this.#waiting.clear();
  }
}
