import { expect } from 'chai';
import type { CaptureSummary, CopyStatus } from '../../../protocol/messages/message.js';
import { plan, type Plan } from '../../../protocol/session/plan.js';
import { stateId, volumeId, type StateId } from '../../../protocol/units.js';

const state = (digit: string): StateId => stateId(digit.repeat(32));
const [S0, S1, S2, STRANGE] = [state('0'), state('1'), state('2'), state('f')];
const MINE = volumeId('a'.repeat(32));
const OTHER = volumeId('b'.repeat(32));

/** A primary that holds S0 to S2, knows the backup at S0, and wants it at S2. */
const local = { volumeId: MINE, states: [S0, S1, S2], base: S0, target: S2 };

const capture = (from: StateId | null, to: StateId, durable: boolean): CaptureSummary => ({
  from,
  to,
  durable,
  whole: 0,
  wholeDigest: new Uint8Array(16),
  partial: [],
});

interface Case {
  readonly copy: string;
  readonly remote: Partial<CopyStatus>;
  readonly plan: Plan['kind'];
  readonly from?: StateId | null;
  readonly reason?: string;
}

const cases: readonly Case[] = [
  { copy: 'there is none', remote: { volumeId: null }, plan: 'send', from: null },
  { copy: 'nothing of it is whole yet', remote: {}, plan: 'send', from: null },
  {
    copy: 'the first copy is on its way',
    remote: { capture: capture(null, S2, false) },
    plan: 'send',
    from: null,
  },
  { copy: 'the first copy is durable', remote: { capture: capture(null, S2, true) }, plan: 'durable' },
  {
    copy: 'another first copy is durable',
    remote: { capture: capture(null, S1, true) },
    plan: 'send',
    from: S1,
  },
  { copy: 'it is where it was left', remote: { state: S0 }, plan: 'send', from: S0 },
  { copy: 'it is further than known', remote: { state: S1 }, plan: 'send', from: S1 },
  { copy: 'it is there', remote: { state: S2 }, plan: 'applied' },
  {
    copy: 'the set is half there',
    remote: { state: S0, capture: capture(S0, S2, false) },
    plan: 'send',
    from: S0,
  },
  { copy: 'the set is durable', remote: { state: S0, capture: capture(S0, S2, true) }, plan: 'durable' },
  {
    copy: 'an older set is durable, as good as applied',
    remote: { state: S0, capture: capture(S0, S1, true) },
    plan: 'send',
    from: S1,
  },
  {
    copy: 'a durable set leads to a state never heard of',
    remote: { state: S0, capture: capture(S0, STRANGE, true) },
    plan: 'conflict',
    reason: 'unknown-state',
  },
  {
    copy: 'it is at a state never heard of',
    remote: { state: STRANGE },
    plan: 'conflict',
    reason: 'unknown-state',
  },
  {
    copy: 'it is of another volume',
    remote: { volumeId: OTHER, state: S0 },
    plan: 'conflict',
    reason: 'other-volume',
  },
  {
    copy: 'it is of another volume, whatever its state is called',
    remote: { volumeId: OTHER, state: S2 },
    plan: 'conflict',
    reason: 'other-volume',
  },
];

describe('the plan for a copy', () => {
  for (const { copy, remote, ...wanted } of cases) {
    it(`when ${copy}: ${wanted.plan}`, () => {
      const position: CopyStatus = {
        kind: 'copy-status',
        volume: 'ledger',
        volumeId: MINE,
        state: null,
        capture: null,
        ...remote,
      };
      const found = plan(local, position);
      expect(found.kind).to.equal(wanted.plan);
      if (found.kind === 'send') expect(found.from).to.equal(wanted.from);
      if (found.kind === 'conflict') {
        expect(found).to.deep.equal({ kind: 'conflict', reason: wanted.reason, local, remote: position });
      }
    });
  }

  it('takes the state last known as a base even when the volume does not list it', () => {
    const remote: CopyStatus = { kind: 'copy-status', volume: 'v', volumeId: MINE, state: S0, capture: null };
    expect(plan({ ...local, states: [S2] }, remote)).to.deep.equal({ kind: 'send', from: S0 });
  });
});
