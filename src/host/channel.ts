import type { MessagePort, Transferable } from 'node:worker_threads';
import { packError, unpackError, type CarriedError } from './carried-error.js';

/**
 * Calls over a message port: any number under way, answered in any order. What a service takes and gives must be
 * cloneable. Several services can share a port; `target` names the one that is meant.
 */

/** An object whose methods all answer with a promise, so that they can be called from another thread. */
export type Remotable<Service> = {
  readonly [Name in keyof Service]: (...args: never[]) => Promise<unknown>;
};

interface CallMessage {
  readonly id: number;
  readonly target: string;
  readonly method: string;
  readonly args: readonly unknown[];
}

type AnswerMessage =
  | { readonly id: number; readonly kind: 'value'; readonly value: unknown }
  | { readonly id: number; readonly kind: 'failure'; readonly error: CarriedError };

interface Waiting {
  readonly resolve: (value: unknown) => void;
  readonly reject: (error: Error) => void;
}

/** The calling side. */
export class Caller<Service extends Remotable<Service>> {
  readonly #port: MessagePort;
  readonly #waiting = new Map<number, Waiting>();
  #nextId = 0;
  #ended: Error | null = null;

  /** Owns `port` from here on. */
  constructor(port: MessagePort) {
    this.#port = port;
    port.on('message', (answer: AnswerMessage) => {
      const waiting = this.#waiting.get(answer.id);
      this.#waiting.delete(answer.id);
      if (answer.kind === 'value') waiting?.resolve(answer.value);
      else waiting?.reject(unpackError(answer.error));
    });
  }

  /** Fails with what the service failed with (`carried-error.ts`), or with the reason given to `end`. */
  call<Method extends keyof Service & string>(
    target: string,
    method: Method,
    ...args: Parameters<Service[Method]>
  ): Promise<Awaited<ReturnType<Service[Method]>>> {
    const answer = new Promise<unknown>((resolve, reject) => {
      if (this.#ended !== null) {
        reject(this.#ended);
        return;
      }
      const id = this.#nextId++;
      this.#waiting.set(id, { resolve, reject });
      this.#port.postMessage({ id, target, method, args } satisfies CallMessage);
    });
    return answer as Promise<Awaited<ReturnType<Service[Method]>>>;
  }

  /** Fails every call that waits and every later one with `reason`, and closes the port. */
  end(reason: Error): void {
    if (this.#ended !== null) return;
    this.#ended = reason;
    for (const { reject } of this.#waiting.values()) reject(reason);
    this.#waiting.clear();
    this.#port.close();
  }
}

export interface AnswerOptions<Service> {
  /** The service of a name; undefined if there is none. */
  readonly find: (target: string) => Service | undefined;
  /** The methods that may be called; nothing else of the object can be reached. */
  readonly methods: readonly (keyof Service & string)[];
  /** Makes an answer ready for the crossing; absent: it is cloned as it is. */
  readonly pack?: (value: unknown) => PackedAnswer;
}

export interface PackedAnswer {
  readonly value: unknown;
  /** Buffers of `value` that are handed over instead of copied; they are lost to the answering side. */
  readonly transfer: readonly Transferable[];
}

/** The answering side: serves calls on `port` until it closes. */
export function answerCalls<Service extends Remotable<Service>>(
  port: MessagePort,
  { find, methods, pack = packPlainly }: AnswerOptions<Service>,
): void {
  const answer = async ({ target, method, args }: CallMessage): Promise<unknown> => {
    const service = find(target);
    const name = methods.find((known) => known === method);
    if (service === undefined || name === undefined) throw new TypeError(`no ${target}.${method} here`);
    const run = service[name] as unknown as (...args: readonly unknown[]) => Promise<unknown>;
    return run.apply(service, [...args]);
  };
  const post = (message: AnswerMessage, handOver: readonly Transferable[] = []): void => {
    port.postMessage(message, handOver);
  };
  port.on('message', (call: CallMessage) => {
    const { id } = call;
    answer(call)
      .then((value) => {
        const packed = pack(value);
        post({ id, kind: 'value', value: packed.value }, packed.transfer);
      })
      .catch((error: unknown) => {
        post({ id, kind: 'failure', error: packError(error) });
      });
  });
}

const packPlainly = (value: unknown): PackedAnswer => ({ value, transfer: [] });
