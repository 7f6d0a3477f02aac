import type { Socket } from 'node:net';
import { ApplianceError } from '../appliance/errors.js';
import type { Log } from '../platform/log.js';
import type { ApplianceControl, ExportOptions } from './appliance-control.js';
import { LineSplitter } from './line-splitter.js';
import {
  lineOf,
  MAX_REQUEST_BYTES,
  MAX_REQUESTS_UNDER_WAY,
  PARAMETERS,
  requestSchema,
  type ControlAnswer,
  type ControlMethod,
  type WireError,
} from './messages.js';

/** Progress is left out while the client has this much still to read (bytes). */
const PROGRESS_BACKLOG = 64 * 1024;

/** One client of the control socket: runs its requests, and cancels them when it goes away. */
export class ControlConnection {
  readonly #socket: Socket;
  readonly #control: ApplianceControl;
  readonly #log: Log;
  readonly #lines = new LineSplitter(MAX_REQUEST_BYTES);
  readonly #underWay = new Map<number, AbortController>();

  constructor(socket: Socket, control: ApplianceControl, log: Log) {
    this.#socket = socket;
    this.#control = control;
    this.#log = log;
    socket.on('data', (chunk: Buffer) => this.#receive(chunk));
    socket.on('error', (err) => this.#log.debug('A client of the control socket failed.', { err }));
    socket.on('close', () => this.#cancelAll('the client is gone'));
  }

  /** Cancels everything and ends the connection. */
  end(): void {
    this.#cancelAll('the appliance is stopping');
    this.#socket.end();
    this.#socket.destroySoon();
  }

  #cancelAll(reason: string): void {
    for (const controller of this.#underWay.values()) controller.abort(new ApplianceError('stopped', reason));
  }

  #receive(chunk: Buffer): void {
    let lines: string[];
    try {
      lines = this.#lines.push(chunk);
    } catch (error) {
      this.#answer({ id: null, error: { code: 'refused', message: (error as Error).message } });
      this.#socket.destroySoon();
      return;
    }
    for (const line of lines) this.#takeLine(line);
  }

  #takeLine(line: string): void {
    const request = requestSchema.safeParse(parseJson(line));
    if (!request.success) {
      this.#answer({
        id: idIn(line),
        error: { code: 'refused', message: 'no request this appliance knows' },
      });
      return;
    }
    if ('cancel' in request.data) {
      this.#underWay.get(request.data.cancel)?.abort(new ApplianceError('stopped', 'cancelled'));
      return;
    }
    const { id, method, params } = request.data;
    if (this.#underWay.has(id) || this.#underWay.size >= MAX_REQUESTS_UNDER_WAY) {
      this.#answer({ id, error: { code: 'busy', message: 'too many requests at once' } });
      return;
    }
    void this.#run(id, method, params);
  }

  async #run(id: number, method: ControlMethod, params: unknown): Promise<void> {
    const controller = new AbortController();
    this.#underWay.set(id, controller);
    const options: ExportOptions = {
      signal: controller.signal,
      progress: (progress) => {
        if (this.#socket.writableLength < PROGRESS_BACKLOG) this.#answer({ id, progress });
      },
      ready: (ready) => this.#answer({ id, ready }),
    };
    try {
      const result = await call(this.#control, method, params, options);
      this.#answer({ id, result: result ?? null });
    } catch (error) {
      this.#answer({ id, error: this.#wireError(method, error) });
    } finally {
      this.#underWay.delete(id);
    }
  }

  /** Other layers' errors have a sentence and perhaps a hint for the operator too; a bug has neither. */
  #wireError(method: ControlMethod, error: unknown): WireError {
    if (error instanceof ApplianceError) return toWire(error.code, error);
    if (error instanceof Error) {
      if (!('code' in error)) this.#log.error(`The request ${method} failed unexpectedly.`, { err: error });
      return toWire('failed', error);
    }
    return { code: 'failed', message: String(error) };
  }

  #answer(answer: ControlAnswer): void {
    if (this.#socket.writable) this.#socket.write(lineOf(answer));
  }
}

function call(
  control: ApplianceControl,
  method: ControlMethod,
  params: unknown,
  options: ExportOptions,
): Promise<unknown> {
  switch (method) {
    case 'status':
      parametersOf('status', params);
      return control.status();
    case 'sync':
      return control.sync(parametersOf('sync', params), options);
    case 'compare':
      return control.compare(parametersOf('compare', params), options);
    case 'snapshot':
      return control.snapshot(parametersOf('snapshot', params));
    case 'pause':
      return control.pause(parametersOf('pause', params));
    case 'resume':
      return control.resume(parametersOf('resume', params));
    case 'hangUp':
      return control.hangUp(parametersOf('hangUp', params));
    case 'points':
      return control.points(parametersOf('points', params));
    case 'restore':
      return control.restore(parametersOf('restore', params), options);
    case 'export':
      return control.export(parametersOf('export', params), options);
    case 'drill':
      return control.drill(parametersOf('drill', params), options);
    case 'scrub':
      return control.scrub(parametersOf('scrub', params), options);
    case 'prune':
      return control.prune(parametersOf('prune', params), options);
    case 'seedExport':
      return control.seedExport(parametersOf('seedExport', params), options);
    case 'seedDrop':
      return control.seedDrop(parametersOf('seedDrop', params));
    case 'seedImport':
      return control.seedImport(parametersOf('seedImport', params), options);
  }
}

type Defined<T> = { [Key in keyof T]: Exclude<T[Key], undefined> };
type Parameters<Method extends ControlMethod> = Defined<ReturnType<(typeof PARAMETERS)[Method]['parse']>>;

/** JSON has no undefined, so a key that is there has a value. */
function parametersOf<Method extends ControlMethod>(method: Method, params: unknown): Parameters<Method> {
  const parsed = PARAMETERS[method].safeParse(params);
  if (!parsed.success) {
    const issue = parsed.error.issues[0];
    throw new ApplianceError('refused', `${method}: ${issue?.path.join('.') ?? ''} ${issue?.message ?? ''}`);
  }
  return parsed.data as Parameters<Method>;
}

function toWire(code: WireError['code'], error: Error): WireError {
  const hint = 'hint' in error && typeof error.hint === 'string' ? error.hint : undefined;
  return { code, message: error.message, ...(hint !== undefined && { hint }) };
}

function parseJson(line: string): unknown {
  try {
    return JSON.parse(line);
  } catch {
    return undefined;
  }
}

function idIn(line: string): number | null {
  const value = parseJson(line);
  const id = typeof value === 'object' && value !== null && 'id' in value ? value.id : null;
  return typeof id === 'number' ? id : null;
}
