import { connect, type Socket } from 'node:net';
import { ApplianceError } from '../appliance/errors.js';
import type { ApplianceStatus } from '../appliance/status.js';
import type {
  ApplianceControl,
  CompareRequest,
  CompareResult,
  DrillRequest,
  DrillResult,
  ExportedState,
  ExportOptions,
  ExportRequest,
  OperationOptions,
  PausedVolumes,
  PointSummary,
  PruneRequest,
  PruneResult,
  RestoreRequest,
  RestoreResult,
  SeedDropResult,
  SeedExportRequest,
  SeedExportResult,
  SeedImportRequest,
  SeedImportResult,
  SeedRequest,
  ScrubRequest,
  ScrubResult,
  SnapshotResult,
  SyncRequest,
  SyncResult,
} from './appliance-control.js';
import { LineSplitter } from './line-splitter.js';
import { lineOf, MAX_ANSWER_BYTES, type ControlAnswer, type ControlMethod } from './messages.js';

interface Pending {
  readonly resolve: (result: unknown) => void;
  readonly reject: (error: Error) => void;
  readonly options: (OperationOptions & Partial<ExportOptions>) | undefined;
}

/** A running appliance, spoken to over its control socket. */
export class ControlClient implements ApplianceControl {
  readonly #socket: Socket;
  readonly #lines = new LineSplitter(MAX_ANSWER_BYTES);
  readonly #pending = new Map<number, Pending>();
  #nextId = 1;

  private constructor(socket: Socket) {
    this.#socket = socket;
    socket.on('data', (chunk: Buffer) => this.#receive(chunk));
    socket.on('error', (error) => this.#fail(error));
    socket.on('close', () => this.#fail());
  }

  /** Null if nobody serves `path`: no appliance is running. */
  static async connect(path: string): Promise<ControlClient | null> {
    const socket = connect(path);
    return new Promise((resolve, reject) => {
      socket.once('connect', () => {
        socket.removeAllListeners('error');
        resolve(new ControlClient(socket));
      });
      socket.once('error', (cause: NodeJS.ErrnoException) => {
        if (cause.code === 'ENOENT' || cause.code === 'ECONNREFUSED') resolve(null);
        else if (cause.code === 'EACCES') {
          const hint = 'run the command as the user that runs the appliance';
          reject(new ApplianceError('refused', `no permission to use ${path}`, hint, { cause }));
        } else {
          reject(
            new ApplianceError('failed', `cannot reach ${path}: ${cause.message}`, undefined, { cause }),
          );
        }
      });
    });
  }

  status(): Promise<ApplianceStatus> {
    return this.#call('status', {}) as Promise<ApplianceStatus>;
  }

  sync(request: SyncRequest, options: OperationOptions): Promise<SyncResult> {
    return this.#call('sync', request, options) as Promise<SyncResult>;
  }

  compare(request: CompareRequest, options: OperationOptions): Promise<CompareResult> {
    return this.#call('compare', request, options) as Promise<CompareResult>;
  }

  snapshot(request: { readonly volume: string; readonly note?: string }): Promise<SnapshotResult> {
    return this.#call('snapshot', request) as Promise<SnapshotResult>;
  }

  pause(request: { readonly volume?: string }): Promise<PausedVolumes> {
    return this.#call('pause', request) as Promise<PausedVolumes>;
  }

  resume(request: { readonly volume?: string }): Promise<PausedVolumes> {
    return this.#call('resume', request) as Promise<PausedVolumes>;
  }

  async hangUp(request: { readonly link?: string }): Promise<void> {
    await this.#call('hangUp', request);
  }

  points(request: { readonly volume?: string }): Promise<readonly PointSummary[]> {
    return this.#call('points', request) as Promise<readonly PointSummary[]>;
  }

  restore(request: RestoreRequest, options: OperationOptions): Promise<RestoreResult> {
    return this.#call('restore', request, options) as Promise<RestoreResult>;
  }

  async export(request: ExportRequest, options: ExportOptions): Promise<void> {
    await this.#call('export', request, options);
  }

  drill(request: DrillRequest, options: OperationOptions): Promise<DrillResult> {
    return this.#call('drill', request, options) as Promise<DrillResult>;
  }

  scrub(request: ScrubRequest, options: OperationOptions): Promise<ScrubResult> {
    return this.#call('scrub', request, options) as Promise<ScrubResult>;
  }

  prune(request: PruneRequest, options: OperationOptions): Promise<PruneResult> {
    return this.#call('prune', request, options) as Promise<PruneResult>;
  }

  seedExport(request: SeedExportRequest, options: OperationOptions): Promise<SeedExportResult> {
    return this.#call('seedExport', request, options) as Promise<SeedExportResult>;
  }

  seedDrop(request: SeedRequest): Promise<SeedDropResult> {
    return this.#call('seedDrop', request) as Promise<SeedDropResult>;
  }

  seedImport(request: SeedImportRequest, options: OperationOptions): Promise<SeedImportResult> {
    return this.#call('seedImport', request, options) as Promise<SeedImportResult>;
  }

  close(): void {
    this.#socket.destroy();
  }

  async #call(method: ControlMethod, params: unknown, options?: Pending['options']): Promise<unknown> {
    options?.signal.throwIfAborted();
    if (!this.#socket.writable) throw goneError();
    const id = this.#nextId++;
    const cancel = (): void => {
      this.#socket.write(lineOf({ cancel: id }));
    };
    options?.signal.addEventListener('abort', cancel, { once: true });
    try {
      return await new Promise<unknown>((resolve, reject) => {
        this.#pending.set(id, { resolve, reject, options });
        this.#socket.write(lineOf({ id, method, params }));
      });
    } finally {
      this.#pending.delete(id);
      options?.signal.removeEventListener('abort', cancel);
    }
  }

  #receive(chunk: Buffer): void {
    try {
      for (const line of this.#lines.push(chunk)) this.#take(JSON.parse(line) as ControlAnswer);
    } catch (cause) {
      this.#fail(cause as Error);
      this.#socket.destroy();
    }
  }

  #take(answer: ControlAnswer): void {
    if ('error' in answer) {
      const { code, message, hint } = answer.error;
      const error = new ApplianceError(code, message, hint);
      if (answer.id === null) this.#fail(error);
      else this.#pending.get(answer.id)?.reject(error);
    } else if ('result' in answer) {
      this.#pending.get(answer.id)?.resolve(answer.result);
    } else if ('ready' in answer) {
      this.#pending.get(answer.id)?.options?.ready?.(answer.ready as ExportedState);
    } else {
      this.#pending.get(answer.id)?.options?.progress(answer.progress);
    }
  }

  #fail(cause?: Error): void {
    for (const { reject } of this.#pending.values()) {
      reject(cause instanceof ApplianceError ? cause : goneError(cause));
    }
    this.#pending.clear();
  }
}

function goneError(cause?: Error): ApplianceError {
  return new ApplianceError(
    'stopped',
    'the appliance went away before it answered',
    'look at its log; what was under way goes on when it runs again',
    { cause },
  );
}
