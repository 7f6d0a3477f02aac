import { expect } from 'chai';
import type { StateInfo } from '../../../protocol/state.js';
import { byteCount, stateId, wallTime } from '../../../protocol/units.js';
import {
  FROZEN_AT_MOST_MS,
  SnapshotPlan,
  type SnapshotEvent,
  type SnapshotPolicy,
  type SnapshotStep,
} from '../../../src/consistency/snapshot-plan.js';

const STATE: StateInfo = {
  id: stateId('ab'.repeat(16)),
  parent: null,
  ordinal: 0,
  time: wallTime(0),
  grade: 'quiet',
  size: byteCount(4096),
};

const POLICY: SnapshotPolicy = {
  quietMs: 2000,
  deadlineMs: 10_000,
  atDeadline: 'crash',
  hasNotice: false,
  hasBefore: false,
  hasAfter: false,
  graceMs: 0,
};
const HOOKS = { hasBefore: true, hasAfter: true };

const ok: SnapshotEvent = { kind: 'hook-ended', trouble: null };
const bad: SnapshotEvent = { kind: 'hook-ended', trouble: 'exit code 1' };
const noted: SnapshotEvent = { kind: 'noted', trouble: null };
const waited: SnapshotEvent = { kind: 'waited' };
const sealed: SnapshotEvent = { kind: 'seal-ended', attempt: { kind: 'sealed', state: STATE } };
const late: SnapshotEvent = { kind: 'seal-ended', attempt: { kind: 'too-late' } };
const slow: SnapshotEvent = { kind: 'slow' };
const broken: SnapshotEvent = { kind: 'seal-failed', error: new Error('the disk is gone') };
const cancelled: SnapshotEvent = { kind: 'cancelled', reason: new Error('not wanted') };
const restless = (quietForMs: number | null): SnapshotEvent => ({
  kind: 'seal-ended',
  attempt: { kind: 'not-quiet', quietForMs },
});

/** A step in a word or two. */
function short(step: SnapshotStep): string {
  switch (step.kind) {
    case 'run':
      return step.hook;
    case 'wait':
      return `${step.phase} ${step.ms}`;
    case 'seal':
      return `seal ${step.grade}`;
    case 'end':
      return step.outcome.kind === 'sealed'
        ? 'sealed'
        : step.outcome.kind === 'skipped'
          ? 'skipped'
          : `failed: ${step.outcome.error.message}`;
    default:
      return step.kind;
  }
}

/** All steps when these events come, each `ms` after the one before. */
function steps(policy: Partial<SnapshotPolicy>, events: readonly SnapshotEvent[], ms = 0): string[] {
  const plan = new SnapshotPlan({ ...POLICY, ...policy });
  let now = 1000;
  const seen = [short(plan.begin(now))];
  for (const event of events) seen.push(short(plan.handle(event, (now += ms))));
  return seen;
}

const TABLE: readonly {
  readonly situation: string;
  readonly policy?: Partial<SnapshotPolicy>;
  readonly events: readonly SnapshotEvent[];
  readonly ms?: number;
  readonly steps: readonly string[];
}[] = [
  { situation: 'a quiet volume is sealed at once', events: [sealed], steps: ['seal quiet', 'sealed'] },
  {
    situation: 'quiet is waited for, no longer than it still takes',
    events: [restless(1900), waited, restless(null), waited, sealed],
    steps: ['seal quiet', 'quiet 100', 'seal quiet', 'quiet 500', 'seal quiet', 'sealed'],
  },
  {
    situation: 'never quiet by the deadline: sealed all the same, and the last wait ends with the deadline',
    events: [restless(null), waited, restless(0), waited, restless(0), waited, restless(0), sealed],
    ms: 1990,
    steps: [
      'seal quiet',
      'quiet 500',
      'seal quiet',
      'quiet 500',
      'seal quiet',
      'quiet 50',
      'seal quiet',
      'seal crash',
      'sealed',
    ],
  },
  {
    situation: 'never quiet by the deadline: skipped',
    policy: { atDeadline: 'skip', deadlineMs: 0 },
    events: [restless(null)],
    steps: ['seal quiet', 'skipped'],
  },
  {
    situation: 'no deadline at all: crash at once if not quiet',
    policy: { deadlineMs: 0 },
    events: [restless(null), sealed],
    steps: ['seal quiet', 'seal crash', 'sealed'],
  },
  {
    situation: 'users are warned, and have the grace time',
    policy: { hasNotice: true, graceMs: 30_000 },
    events: [ok, waited, sealed],
    steps: ['notice', 'grace 30000', 'seal quiet', 'sealed'],
  },
  {
    situation: 'a warning that fails holds nothing back',
    policy: { hasNotice: true, graceMs: 5 },
    events: [bad, waited, sealed],
    steps: ['notice', 'grace 5', 'seal quiet', 'sealed'],
  },
  {
    situation: 'hooks: noted, frozen, sealed, thawed',
    policy: HOOKS,
    events: [noted, ok, sealed, ok, noted],
    steps: ['note-frozen', 'before', 'seal application', 'after', 'clear-note', 'sealed'],
  },
  {
    situation: 'before fails: thawed, then sealed as crash',
    policy: HOOKS,
    events: [noted, bad, ok, noted, sealed],
    steps: ['note-frozen', 'before', 'after', 'clear-note', 'seal crash', 'sealed'],
  },
  {
    situation: 'before and after fail: nothing is frozen, so after is not repeated',
    policy: HOOKS,
    events: [noted, bad, bad, noted, sealed],
    steps: ['note-frozen', 'before', 'after', 'clear-note', 'seal crash', 'sealed'],
  },
  {
    situation: 'before fails, crash is not wanted: thawed and skipped',
    policy: { ...HOOKS, atDeadline: 'skip' },
    events: [noted, bad, ok, noted],
    steps: ['note-frozen', 'before', 'after', 'clear-note', 'skipped'],
  },
  {
    situation: 'what cannot be noted is not frozen',
    policy: HOOKS,
    events: [{ kind: 'noted', trouble: 'no space' }, sealed],
    steps: ['note-frozen', 'seal crash', 'sealed'],
  },
  {
    situation: 'sealing fails: thawed all the same',
    policy: HOOKS,
    events: [noted, ok, broken, ok, noted],
    steps: ['note-frozen', 'before', 'seal application', 'after', 'clear-note', 'failed: the disk is gone'],
  },
  {
    situation: 'a slow seal: thawed by the watchdog, and the state counts if its instant was in time',
    policy: HOOKS,
    events: [noted, ok, slow, ok, noted, sealed],
    steps: ['note-frozen', 'before', 'seal application', 'after', 'clear-note', 'await-seal', 'sealed'],
  },
  {
    situation: 'a slow seal whose instant came too late is no state: crash',
    policy: HOOKS,
    events: [noted, ok, slow, ok, noted, late, sealed],
    steps: [
      'note-frozen',
      'before',
      'seal application',
      'after',
      'clear-note',
      'await-seal',
      'seal crash',
      'sealed',
    ],
  },
  {
    situation: 'after fails at first',
    policy: HOOKS,
    events: [noted, ok, sealed, bad, waited, ok, noted],
    steps: [
      'note-frozen',
      'before',
      'seal application',
      'after',
      'retry 1000',
      'after',
      'clear-note',
      'sealed',
    ],
  },
  {
    situation: 'after fails to the end: the note stays, the state counts',
    policy: HOOKS,
    events: [noted, ok, sealed, bad, waited, bad, waited, bad],
    steps: [
      'note-frozen',
      'before',
      'seal application',
      'after',
      'retry 1000',
      'after',
      'retry 1000',
      'after',
      'sealed',
    ],
  },
  {
    situation: 'only before: nothing to undo but the note',
    policy: { hasBefore: true },
    events: [noted, ok, sealed, noted],
    steps: ['note-frozen', 'before', 'seal application', 'clear-note', 'sealed'],
  },
  {
    situation: 'only after: it follows the seal',
    policy: { hasAfter: true },
    events: [sealed, ok],
    steps: ['seal quiet', 'after', 'sealed'],
  },
  {
    situation: 'only after: it follows the seal at the deadline too',
    policy: { hasAfter: true, deadlineMs: 0 },
    events: [restless(0), sealed, ok],
    steps: ['seal quiet', 'seal crash', 'after', 'sealed'],
  },
  {
    situation: 'cancelled while waiting for quiet',
    policy: { hasAfter: true },
    events: [restless(0), cancelled],
    steps: ['seal quiet', 'quiet 500', 'failed: not wanted'],
  },
  {
    situation: 'cancelled in the midst of before: thawed first',
    policy: HOOKS,
    events: [noted, cancelled, ok, noted],
    steps: ['note-frozen', 'before', 'after', 'clear-note', 'failed: not wanted'],
  },
  {
    situation: 'cancelled between before and the seal: thawed first, however often it takes',
    policy: HOOKS,
    events: [noted, ok, cancelled, bad, cancelled, ok, noted],
    steps: [
      'note-frozen',
      'before',
      'seal application',
      'after',
      'retry 1000',
      'after',
      'clear-note',
      'failed: not wanted',
    ],
  },
  {
    situation: 'cancelled in the grace time: nothing to undo',
    policy: { ...HOOKS, hasNotice: true, graceMs: 9 },
    events: [ok, cancelled],
    steps: ['notice', 'grace 9', 'failed: not wanted'],
  },
];

describe('the plan of a consistent snapshot', () => {
  for (const { situation, policy = {}, events, ms, steps: wanted } of TABLE) {
    it(situation, () => {
      expect(steps(policy, events, ms)).to.deep.equal(wanted);
    });
  }

  it('tells what went wrong on the way', () => {
    const plan = new SnapshotPlan({ ...POLICY, ...HOOKS, hasNotice: true });
    plan.begin(0);
    let step = plan.handle(bad, 0);
    for (const event of [waited, noted, ok, sealed, bad, waited, bad, waited, bad])
      step = plan.handle(event, 0);
    expect(step.kind === 'end' && step.outcome.troubles).to.deep.equal([
      'the notice command failed: exit code 1',
      'the after command failed, the volume may still be frozen: exit code 1',
    ]);
    expect(plan.mayBeFrozen).to.equal(true);
  });

  it('bounds how long it stays frozen, and before by the deadline', () => {
    const plan = new SnapshotPlan({ ...POLICY, ...HOOKS });
    plan.begin(0);
    expect(plan.handle(noted, 0)).to.deep.equal({ kind: 'run', hook: 'before', timeoutMs: 10_000 });
    expect(plan.handle(ok, 0)).to.deep.equal({
      kind: 'seal',
      grade: 'application',
      patienceMs: FROZEN_AT_MOST_MS,
    });
  });
});
