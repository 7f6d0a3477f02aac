import type { MessagePort } from 'node:worker_threads';
import type { Scanned } from '../../protocol/compare/scan.js';
import type { StateInfo } from '../../protocol/state.js';
import type { StateId } from '../../protocol/units.js';
import type {
  BaseBlocks,
  BaseRequest,
  Collected,
  CollectRequest,
  CompareFinding,
  DigestRequest,
  GroupAnswer,
  GroupStep,
  SealAttempt,
  SealCondition,
  SealRequest,
  SetPartBounds,
  VolumeDescription,
  VolumeService,
} from '../engine/volume-service.js';
import { answerCalls, type Caller, type PackedAnswer } from './channel.js';

/** Every method of the service; a forgotten one does not compile. */
const METHODS = Object.keys({
  describe: true,
  seal: true,
  sealIf: true,
  groupStep: true,
  pin: true,
  unpin: true,
  countChanges: true,
  collect: true,
  readBase: true,
  digests: true,
  compared: true,
} satisfies Record<keyof VolumeService, true>) as (keyof VolumeService)[];

/** A volume in another thread. Answers as the volume itself does, errors included. */
export class RemoteVolume implements VolumeService {
  readonly #caller: Caller<VolumeService>;
  readonly #name: string;

  constructor(caller: Caller<VolumeService>, name: string) {
    this.#caller = caller;
    this.#name = name;
  }

  describe(): Promise<VolumeDescription> {
    return this.#caller.call(this.#name, 'describe');
  }

  seal(request: SealRequest): Promise<StateInfo> {
    return this.#caller.call(this.#name, 'seal', request);
  }

  sealIf(request: SealRequest, condition: SealCondition): Promise<SealAttempt> {
    return this.#caller.call(this.#name, 'sealIf', request, condition);
  }

  groupStep(step: GroupStep): Promise<GroupAnswer> {
    return this.#caller.call(this.#name, 'groupStep', step);
  }

  pin(owner: string, state: StateId): Promise<void> {
    return this.#caller.call(this.#name, 'pin', owner, state);
  }

  unpin(owner: string): Promise<void> {
    return this.#caller.call(this.#name, 'unpin', owner);
  }

  countChanges(set: SetPartBounds): Promise<number> {
    return this.#caller.call(this.#name, 'countChanges', set);
  }

  collect(request: CollectRequest): Promise<Collected> {
    return this.#caller.call(this.#name, 'collect', request);
  }

  readBase(request: BaseRequest): Promise<BaseBlocks> {
    return this.#caller.call(this.#name, 'readBase', request);
  }

  digests(request: DigestRequest): Promise<Scanned> {
    return this.#caller.call(this.#name, 'digests', request);
  }

  compared(finding: CompareFinding): Promise<void> {
    return this.#caller.call(this.#name, 'compared', finding);
  }
}

/** The volumes' side: answers calls on `port`. Content of blocks is handed over, not copied. */
export function serveVolumes(port: MessagePort, find: (name: string) => VolumeService | undefined): void {
  answerCalls<VolumeService>(port, { find, methods: METHODS, pack: packContent });
}

function packContent(answer: unknown): PackedAnswer {
  if (!hasContent(answer)) return { value: answer, transfer: [] };
  const content = ownBuffer(answer.content);
  const before = hasContent(answer.before)
    ? { ...answer.before, content: ownBuffer(answer.before.content) }
    : null;
  const value = { ...answer, content, ...(before !== null && { before }) };
  return { value, transfer: [content.buffer, ...(before === null ? [] : [before.content.buffer])] };
}

function hasContent(answer: unknown): answer is { readonly content: Uint8Array; readonly before?: unknown } {
  return (
    typeof answer === 'object' &&
    answer !== null &&
    'content' in answer &&
    answer.content instanceof Uint8Array
  );
}

/** A view of a larger buffer would take all of that along. */
function ownBuffer(content: Uint8Array): Uint8Array<ArrayBuffer> {
  const isOwn = content.byteLength === content.buffer.byteLength && content.buffer instanceof ArrayBuffer;
  return isOwn ? (content as Uint8Array<ArrayBuffer>) : new Uint8Array(content);
}
