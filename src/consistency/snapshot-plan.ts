import type { Grade, StateInfo } from '../../protocol/state.js';
import type { SealAttempt } from '../engine/volume-service.js';

/*
 * How a consistent snapshot is come by, as a machine without time, processes or files: it says the next step, and is
 * told how that ended (DESIGN section 2, "Consistency").
 *
 *   notice → grace ─┬─ with a `before` command:  note frozen → before → seal (application) → after → clear note
 *                   │                                           └ failed: after → at the deadline's policy
 *                   └─ without: seal if quiet ⇄ wait; past the deadline: its policy
 *
 *   the deadline's policy: crash: seal whatever there is; skip: no snapshot
 *
 * Once frozen is noted, every way to the end leads through `after`.
 */

/** What is asked of a snapshot; durations in ms. */
export interface SnapshotPolicy {
  readonly quietMs: number;
  readonly deadlineMs: number;
  readonly atDeadline: 'crash' | 'skip';
  readonly hasNotice: boolean;
  readonly hasBefore: boolean;
  readonly hasAfter: boolean;
  readonly graceMs: number;
}

export type HookName = 'notice' | 'before' | 'after';

export type SnapshotStep =
  | { readonly kind: 'run'; readonly hook: HookName; readonly timeoutMs: number }
  /** Also answered by `cancelled`. */
  | { readonly kind: 'wait'; readonly ms: number; readonly phase: 'grace' | 'quiet' | 'retry' }
  /** Durably, before anything is frozen. */
  | { readonly kind: 'note-frozen' }
  | { readonly kind: 'clear-note' }
  /** To be answered by `slow` when it has not ended after `patienceMs`; then it goes on. */
  | { readonly kind: 'seal'; readonly grade: Grade; readonly quietMs?: number; readonly patienceMs?: number }
  /** Wait for the end of the seal that was slow. */
  | { readonly kind: 'await-seal' }
  | { readonly kind: 'end'; readonly outcome: SnapshotOutcome };

export type SnapshotEvent =
  | { readonly kind: 'hook-ended'; readonly trouble: string | null }
  | { readonly kind: 'waited' }
  | { readonly kind: 'noted'; readonly trouble: string | null }
  | { readonly kind: 'seal-ended'; readonly attempt: SealAttempt }
  | { readonly kind: 'seal-failed'; readonly error: Error }
  | { readonly kind: 'slow' }
  /** Nobody wants the snapshot any more: the step was not begun, or the wait or command was broken off. */
  | { readonly kind: 'cancelled'; readonly reason: Error };

export type SnapshotOutcome =
  | {
      readonly kind: 'sealed';
      readonly state: StateInfo;
      /** Of a group of volumes: all their states, by the volume's name. */
      readonly group?: Readonly<Record<string, StateInfo>>;
      readonly troubles: readonly string[];
    }
  | { readonly kind: 'skipped'; readonly why: string; readonly troubles: readonly string[] }
  | { readonly kind: 'failed'; readonly error: Error; readonly troubles: readonly string[] };

/** A warning that hangs holds nothing back for longer. */
export const NOTICE_TIMEOUT_MS = 10_000;
/** For `before`, where the deadline does not say. */
export const BEFORE_TIMEOUT_MS = 60_000;
/** How long the volume may be frozen before it is thawed whatever the seal does: users may be waiting. */
export const FROZEN_AT_MOST_MS = 30_000;
export const AFTER_TIMEOUT_MS = 30_000;
/** Tries of `after` when what `before` did is to be undone, and the pause between them. */
export const AFTER_TRIES = 3;
export const AFTER_RETRY_MS = 1000;
/** How often quiet is asked for: at the least, and at the most. */
const MIN_LOOK_MS = 20;
const MAX_LOOK_MS = 500;

type Ending =
  | { readonly kind: 'outcome'; readonly outcome: Bare }
  /** As the deadline's policy has it. */
  | { readonly kind: 'fall-back'; readonly why: string }
  /** The slow seal has still to end. */
  | { readonly kind: 'await-seal' };

type Bare =
  | {
      readonly kind: 'sealed';
      readonly state: StateInfo;
      readonly group?: Readonly<Record<string, StateInfo>>;
    }
  | { readonly kind: 'skipped'; readonly why: string }
  | { readonly kind: 'failed'; readonly error: Error };

type Stage =
  | { readonly name: 'notice' }
  | { readonly name: 'grace' }
  | { readonly name: 'noting' }
  | { readonly name: 'before' }
  | { readonly name: 'sealing-frozen' }
  | { readonly name: 'asking-quiet' }
  | { readonly name: 'waiting-quiet' }
  | { readonly name: 'sealing-anyway' }
  | { readonly name: 'after'; readonly tries: number; readonly then: Ending }
  | { readonly name: 'pausing'; readonly tries: number; readonly then: Ending }
  | { readonly name: 'clearing'; readonly then: Ending }
  | { readonly name: 'awaiting-seal' }
  | { readonly name: 'over' };

/** One snapshot. `begin` once, then `handle` what each step came to, until a step is `end`. */
export class SnapshotPlan {
  readonly #policy: SnapshotPolicy;
  readonly #troubles: string[] = [];
  #stage: Stage = { name: 'over' };
  #deadlineAt = 0;
  /** `before` has succeeded, so there is something to undo. */
  #isFrozen = false;
  #isNoted = false;

  constructor(policy: SnapshotPolicy) {
    this.#policy = policy;
  }

  /** `after` has failed to the end: only people can help. */
  get mayBeFrozen(): boolean {
    return this.#isFrozen;
  }

  /** `now` is monotonic, in ms, here and in `handle`. */
  begin(now: number): SnapshotStep {
    if (!this.#policy.hasNotice) return this.#prepare(now);
    this.#stage = { name: 'notice' };
    return { kind: 'run', hook: 'notice', timeoutMs: NOTICE_TIMEOUT_MS };
  }

  handle(event: SnapshotEvent, now: number): SnapshotStep {
    const stage = this.#stage;
    if (event.kind === 'cancelled') return this.#cancel(stage, event.reason);
    switch (stage.name) {
      case 'notice':
        this.#note('notice', event);
        this.#stage = { name: 'grace' };
        return { kind: 'wait', ms: this.#policy.graceMs, phase: 'grace' };
      case 'grace':
        return this.#prepare(now);
      case 'noting':
        return this.#noted(event);
      case 'before':
        return this.#beforeEnded(event);
      case 'sealing-frozen':
        return this.#undo(endingOf(event));
      case 'asking-quiet':
        return this.#quietAnswered(event, now);
      case 'waiting-quiet':
        return this.#askQuiet();
      case 'sealing-anyway':
        return this.#sealedAnyway(event);
      case 'after':
        return this.#afterEnded(event, stage);
      case 'pausing':
        return this.#runAfter(stage.tries, stage.then);
      case 'clearing':
        return this.#finish(stage.then);
      case 'awaiting-seal':
        return this.#finish(endingOf(event));
      case 'over':
        throw new Error('the snapshot is over');
    }
  }

  #prepare(now: number): SnapshotStep {
    this.#deadlineAt = now + this.#policy.deadlineMs;
    if (!this.#policy.hasBefore) return this.#askQuiet();
    this.#stage = { name: 'noting' };
    return { kind: 'note-frozen' };
  }

  #noted(event: SnapshotEvent): SnapshotStep {
    if (event.kind === 'noted' && event.trouble !== null) {
      const why = `the before command was not run, because it could not be noted: ${event.trouble}`;
      return this.#finish({ kind: 'fall-back', why });
    }
    this.#isNoted = true;
    this.#stage = { name: 'before' };
    return { kind: 'run', hook: 'before', timeoutMs: this.#policy.deadlineMs || BEFORE_TIMEOUT_MS };
  }

  #beforeEnded(event: SnapshotEvent): SnapshotStep {
    const why = this.#note('before', event);
    if (why !== null) return this.#undo({ kind: 'fall-back', why });
    this.#isFrozen = true;
    this.#stage = { name: 'sealing-frozen' };
    return { kind: 'seal', grade: 'application', patienceMs: FROZEN_AT_MOST_MS };
  }

  #askQuiet(): SnapshotStep {
    this.#stage = { name: 'asking-quiet' };
    return { kind: 'seal', grade: 'quiet', quietMs: this.#policy.quietMs };
  }

  #quietAnswered(event: SnapshotEvent, now: number): SnapshotStep {
    if (event.kind !== 'seal-ended' || event.attempt.kind !== 'not-quiet') return this.#undo(endingOf(event));
    const left = this.#deadlineAt - now;
    if (left <= 0)
      return this.#finish({ kind: 'fall-back', why: 'the volume was not quiet by the deadline' });
    const missing = this.#policy.quietMs - (event.attempt.quietForMs ?? 0);
    this.#stage = { name: 'waiting-quiet' };
    const ms = Math.min(left, Math.max(MIN_LOOK_MS, Math.min(MAX_LOOK_MS, missing)));
    return { kind: 'wait', ms, phase: 'quiet' };
  }

  #sealedAnyway(event: SnapshotEvent): SnapshotStep {
    const ending = endingOf(event);
    // With a `before` command that was run, `after` has followed it already.
    return this.#policy.hasBefore ? this.#finish(ending) : this.#undo(ending);
  }

  /** Whatever was begun is undone before the end. */
  #undo(then: Ending): SnapshotStep {
    if (!this.#policy.hasAfter) return this.#clear(then);
    return this.#runAfter(0, then);
  }

  #runAfter(tries: number, then: Ending): SnapshotStep {
    this.#stage = { name: 'after', tries: tries + 1, then };
    return { kind: 'run', hook: 'after', timeoutMs: AFTER_TIMEOUT_MS };
  }

  #afterEnded(event: SnapshotEvent, { tries, then }: { tries: number; then: Ending }): SnapshotStep {
    if (event.kind === 'hook-ended' && event.trouble !== null && this.#isFrozen) {
      if (tries < AFTER_TRIES) {
        this.#stage = { name: 'pausing', tries, then };
        return { kind: 'wait', ms: AFTER_RETRY_MS, phase: 'retry' };
      }
      // The note stays: whoever starts next tries once more.
      this.#troubles.push(`the after command failed, the volume may still be frozen: ${event.trouble}`);
      return this.#finish(then);
    }
    this.#note('after', event);
    return this.#clear(then);
  }

  #clear(then: Ending): SnapshotStep {
    if (!this.#isNoted) return this.#finish(then);
    this.#isFrozen = false;
    this.#stage = { name: 'clearing', then };
    return { kind: 'clear-note' };
  }

  #finish(ending: Ending): SnapshotStep {
    switch (ending.kind) {
      case 'outcome':
        return this.#end(ending.outcome);
      case 'await-seal':
        this.#stage = { name: 'awaiting-seal' };
        return { kind: 'await-seal' };
      case 'fall-back':
        if (this.#policy.atDeadline === 'skip') return this.#end({ kind: 'skipped', why: ending.why });
        // Without hooks the grade says it all; with them it is not what was asked for.
        if (this.#policy.hasBefore && !this.#troubles.includes(ending.why)) this.#troubles.push(ending.why);
        this.#stage = { name: 'sealing-anyway' };
        return { kind: 'seal', grade: 'crash' };
    }
  }

  #cancel(stage: Stage, reason: Error): SnapshotStep {
    const then: Ending = { kind: 'outcome', outcome: { kind: 'failed', error: reason } };
    // Frozen, or half frozen.
    if (stage.name === 'before' || stage.name === 'sealing-frozen') return this.#undo(then);
    if (stage.name === 'pausing') return this.#runAfter(stage.tries, then);
    return this.#finish(then);
  }

  #end(outcome: Bare): SnapshotStep {
    this.#stage = { name: 'over' };
    return { kind: 'end', outcome: { ...outcome, troubles: [...this.#troubles] } };
  }

  #note(hook: HookName, event: SnapshotEvent): string | null {
    if (event.kind !== 'hook-ended' || event.trouble === null) return null;
    const text = `the ${hook} command failed: ${event.trouble}`;
    this.#troubles.push(text);
    return text;
  }
}

function endingOf(event: SnapshotEvent): Ending {
  switch (event.kind) {
    case 'seal-ended':
      return event.attempt.kind === 'sealed'
        ? { kind: 'outcome', outcome: event.attempt }
        : { kind: 'fall-back', why: 'the volume could not be kept frozen for as long as the seal took' };
    case 'seal-failed':
      return { kind: 'outcome', outcome: { kind: 'failed', error: event.error } };
    case 'slow':
      return { kind: 'await-seal' };
    default:
      throw new Error(`a seal does not end with ${event.kind}`);
  }
}
