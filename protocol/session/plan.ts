import type { CopyStatus } from '../messages/message.js';
import type { StateId, VolumeId } from '../units.js';

/** What a primary knows of one volume when it meets a backup's copy of it. */
export interface LocalPosition {
  readonly volumeId: VolumeId;
  /** The states the volume can still be read at. */
  readonly states: readonly StateId[];
  /** The state this backup was last known to hold durably; null: none. */
  readonly base: StateId | null;
  /** The set that is to travel, or already does. */
  readonly target: StateId;
}

/** Why a copy cannot be brought forward without a person: what both sides have. */
export interface PlanConflict {
  readonly kind: 'conflict';
  readonly reason: 'other-volume' | 'unknown-state';
  readonly local: LocalPosition;
  readonly remote: CopyStatus;
}

/**
 * How to bring a backup's copy to `target`:
 * `applied`: it is there. `durable`: it holds the set and will apply it. `send`: the set `from → target` must travel;
 * `from: null` is a first copy.
 */
export type Plan =
  | { readonly kind: 'applied' }
  | { readonly kind: 'durable' }
  | { readonly kind: 'send'; readonly from: StateId | null }
  | PlanConflict;

/**
 * Decides from the two positions alone, before a byte of content is sent. A copy in a state that this primary has
 * never had is a conflict, never something to build a set on: it must be compared first.
 */
export function plan(local: LocalPosition, remote: CopyStatus): Plan {
  if (remote.volumeId === null) return { kind: 'send', from: null };
  if (remote.volumeId !== local.volumeId) return { kind: 'conflict', reason: 'other-volume', local, remote };
  if (remote.state === local.target) return { kind: 'applied' };
  if (remote.capture?.durable === true && remote.capture.to === local.target) return { kind: 'durable' };
  // A durable set is as good as applied: the backup applies it before it takes another.
  const reached = remote.capture?.durable === true ? remote.capture.to : remote.state;
  if (reached === null) return { kind: 'send', from: null };
  if (reached === local.base || local.states.includes(reached)) return { kind: 'send', from: reached };
  return { kind: 'conflict', reason: 'unknown-state', local, remote };
}
