import { wallTime } from '../../protocol/units.js';
import type { ConsistencyPolicy } from '../config/configuration.js';
import type { SealAttempt, SealRequest, VolumeService } from '../engine/volume-service.js';
import { sleep, type Clock } from '../platform/clock.js';
import type { Log } from '../platform/log.js';
import { randomId, type Random } from '../platform/random.js';
import { TOKEN_VARIABLE } from './stray-processes.js';
import { freezeHazard } from './freeze-hazard.js';
import type { FrozenNote } from './frozen-note.js';
import { runHook, signalGroup, type HookResult } from './hook.js';
import {
  AFTER_RETRY_MS,
  AFTER_TIMEOUT_MS,
  AFTER_TRIES,
  SnapshotPlan,
  type HookName,
  type SnapshotEvent,
  type SnapshotOutcome,
  type SnapshotStep,
} from './snapshot-plan.js';

export interface ConsistentSnapshotsOptions {
  /** Of a group: its name. */
  readonly volumeName: string;
  /** Or a group of volumes. */
  readonly volume: Pick<VolumeService, 'sealIf'>;
  readonly policy: ConsistencyPolicy;
  readonly note: FrozenNote;
  /** Where commands are run, and what they are told beside `FARCOPY_VOLUME` and `FARCOPY_HOOK`. */
  readonly cwd: string;
  readonly environment: Readonly<Record<string, string>>;
  /** Folders in which farcopy writes while it takes a snapshot. */
  readonly ownFolders: readonly string[];
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly onEvent: (level: 'info' | 'warning' | 'error', text: string) => void;
}

export interface SnapshotRequest {
  readonly pinAs: readonly string[];
  readonly noteText?: string;
  readonly signal: AbortSignal;
  /** `elapsedMs` of the wait for quiet, or of the grace time. */
  readonly onWaiting?: (phase: 'grace' | 'quiet', elapsedMs: number, atMostMs: number) => void;
}

/** The volume thaws at the watchdog's time; the seal has to be over by this much earlier. */
const FLIP_MARGIN_MS = 1000;

const STILL_FROZEN = 'the after command failed: the volume may still be frozen';

/** How often what a killed farcopy left at work is looked for, and told to end. */
const STRAY_LOOKS = 50;
const STRAY_LOOK_MS = 100;

/** Takes the consistent snapshots of one volume, one after the other. */
export class ConsistentSnapshots {
  readonly #options: ConsistentSnapshotsOptions;
  #last: Promise<unknown> = Promise.resolve();
  #trouble: string | null = null;
  /** In the environment of the commands of the snapshot that is being taken. */
  #token = '';

  constructor(options: ConsistentSnapshotsOptions) {
    this.#options = options;
  }

  /** What is wrong until somebody sees to it: the volume may still be frozen. */
  get trouble(): string | null {
    return this.#trouble;
  }

  /**
   * After a process that was killed while the volume was frozen: ends what is left of the `before` command, then thaws,
   * before any snapshot. Does not fail; call it once the volume is being served, which thawing may need.
   */
  recover(): Promise<void> {
    return this.#inTurn(async () => {
      const { note, policy, volumeName, onEvent } = this.#options;
      if (!(await note.exists())) return;
      const found = `${volumeName}: farcopy was stopped while the volume was frozen`;
      if (!(await this.#endStrays())) {
        onEvent('warning', `${found}; its before command is still at work and could not be ended`);
      }
      if (policy.after === null) {
        onEvent('warning', `${found}; there is no after command any more that would thaw it`);
        await note.remove();
        return;
      }
      const trouble = await this.#thaw(policy.after);
      if (trouble === null) {
        onEvent('warning', `${found}; the after command has been run now`);
        await note.remove();
      } else {
        // The note stays: the next snapshot, or the next start, thaws again.
        onEvent('error', `${found}; the after command failed: ${trouble}`);
        this.#trouble = STILL_FROZEN;
      }
    });
  }

  /** Never rejects: also an abort, which undoes what was begun first, is an outcome (`failed` with its reason). */
  take(request: SnapshotRequest): Promise<SnapshotOutcome> {
    return this.#inTurn(() => this.#take(request));
  }

  /** Resolves when no snapshot is being taken. */
  async idle(): Promise<void> {
    await this.#last;
  }

  async #take(request: SnapshotRequest): Promise<SnapshotOutcome> {
    const { policy, clock, volumeName, onEvent } = this.#options;
    const plan = new SnapshotPlan({
      ...policy,
      hasNotice: policy.notice !== null,
      hasBefore: policy.before !== null,
      hasAfter: policy.after !== null,
    });
    this.#token = randomId(this.#options.random);
    const seals = new PatientSeal();
    const waits = { phase: '', since: 0 };
    let step = plan.begin(clock.now());
    while (step.kind !== 'end') {
      const event = await this.#carryOut(step, request, seals, waits);
      step = plan.handle(event, clock.now());
    }
    const { outcome } = step;
    for (const trouble of outcome.troubles) onEvent('warning', `${volumeName}: ${trouble}`);
    this.#trouble = plan.mayBeFrozen ? STILL_FROZEN : null;
    return outcome;
  }

  async #carryOut(
    step: Exclude<SnapshotStep, { kind: 'end' }>,
    request: SnapshotRequest,
    seals: PatientSeal,
    waits: { phase: string; since: number },
  ): Promise<SnapshotEvent> {
    const { clock, policy, note, ownFolders } = this.#options;
    const { signal } = request;
    const isUndoing = step.kind === 'clear-note' || step.kind === 'await-seal' || isAfter(step);
    if (signal.aborted && !isUndoing) return cancelled(signal);
    switch (step.kind) {
      case 'run': {
        const command = policy[step.hook] ?? '';
        const { trouble } = await this.#runHook(
          step.hook,
          command,
          step.timeoutMs,
          isUndoing ? undefined : signal,
        );
        return signal.aborted && !isUndoing ? cancelled(signal) : { kind: 'hook-ended', trouble };
      }
      case 'wait': {
        if (step.phase !== waits.phase) Object.assign(waits, { phase: step.phase, since: clock.now() });
        if (step.phase !== 'retry') {
          const atMostMs = step.phase === 'grace' ? step.ms : policy.deadlineMs;
          request.onWaiting?.(step.phase, clock.now() - waits.since, atMostMs);
        }
        return sleep(clock, step.ms, signal).then(
          () => ({ kind: 'waited' }),
          () => cancelled(signal),
        );
      }
      case 'note-frozen': {
        const hazard = await freezeHazard(policy.before ?? '', ownFolders);
        if (hazard !== null) return { kind: 'noted', trouble: hazard };
        return note.write(clock.wall(), this.#token).then(
          () => ({ kind: 'noted', trouble: null }),
          (error: unknown) => ({ kind: 'noted', trouble: (error as Error).message }),
        );
      }
      case 'clear-note':
        await note.remove();
        return { kind: 'noted', trouble: null };
      case 'seal':
        return seals.begin(clock, this.#seal(step, request), step.patienceMs);
      case 'await-seal':
        return seals.end();
    }
  }

  #seal(
    step: Extract<SnapshotStep, { kind: 'seal' }>,
    { pinAs, noteText }: SnapshotRequest,
  ): Promise<SealAttempt> {
    const { volume, clock } = this.#options;
    const request: SealRequest = {
      grade: step.grade,
      pinAs,
      ...(noteText !== undefined && { note: noteText }),
    };
    return volume.sealIf(request, {
      ...(step.quietMs !== undefined && { quietMs: step.quietMs }),
      ...(step.patienceMs !== undefined && {
        notAfter: wallTime(clock.wall() + step.patienceMs - FLIP_MARGIN_MS),
      }),
    });
  }

  async #runHook(
    hook: HookName,
    command: string,
    timeoutMs: number,
    signal?: AbortSignal,
  ): Promise<HookResult> {
    const { volumeName, note, cwd, environment, clock, log } = this.#options;
    const result = await runHook({
      command,
      timeoutMs,
      cwd,
      environment: {
        ...environment,
        FARCOPY_VOLUME: volumeName,
        FARCOPY_HOOK: hook,
        ...(hook === 'before' && { [TOKEN_VARIABLE]: this.#token }),
      },
      clock,
      ...(hook === 'before' && {
        onStarted: (pid) => note.writeRunning(clock.wall(), this.#token, pid),
      }),
      ...(signal !== undefined && { signal }),
    });
    const facts = { volume: volumeName, hook, output: result.output };
    if (result.trouble === null) log.info('A command of the volume has been run.', facts);
    else log.warn('A command of the volume has failed.', { ...facts, trouble: result.trouble });
    return result;
  }

  /** Answers whether nothing of a `before` command is at work any more; what it had begun must not freeze again. */
  async #endStrays(): Promise<boolean> {
    const { note, clock } = this.#options;
    for (let look = 0; look < STRAY_LOOKS; look++) {
      const groups = await note.strays();
      if (groups.length === 0) return true;
      for (const group of groups) signalGroup(group, 'SIGKILL');
      await sleep(clock, STRAY_LOOK_MS);
    }
    return false;
  }

  /** Runs the `after` command until it succeeds, a few times; answers why it did not. */
  async #thaw(command: string): Promise<string | null> {
    for (let tries = 1; ; tries++) {
      const { trouble } = await this.#runHook('after', command, AFTER_TIMEOUT_MS);
      if (trouble === null || tries === AFTER_TRIES) return trouble;
      await sleep(this.#options.clock, AFTER_RETRY_MS);
    }
  }

  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const result = this.#last.then(work);
    this.#last = result.catch(() => undefined);
    return result;
  }
}

/** A seal that may take longer than the volume can stay frozen. */
class PatientSeal {
  #ended: Promise<SnapshotEvent> = Promise.reject(new Error('no seal was begun'));

  constructor() {
    this.#ended.catch(() => undefined);
  }

  begin(clock: Clock, attempt: Promise<SealAttempt>, patienceMs: number | undefined): Promise<SnapshotEvent> {
    this.#ended = attempt.then(
      (sealed) => ({ kind: 'seal-ended', attempt: sealed }),
      (error: unknown) => ({ kind: 'seal-failed', error: error as Error }),
    );
    if (patienceMs === undefined) return this.#ended;
    let cancel = (): void => undefined;
    const slow = new Promise<SnapshotEvent>((resolve) => {
      cancel = clock.after(patienceMs, () => resolve({ kind: 'slow' }));
    });
    return Promise.race([this.#ended, slow]).finally(() => cancel());
  }

  end(): Promise<SnapshotEvent> {
    return this.#ended;
  }
}

const isAfter = (step: SnapshotStep): boolean =>
  (step.kind === 'run' && step.hook === 'after') || (step.kind === 'wait' && step.phase === 'retry');

const cancelled = (signal: AbortSignal): SnapshotEvent => ({
  kind: 'cancelled',
  reason: signal.reason as Error,
});
