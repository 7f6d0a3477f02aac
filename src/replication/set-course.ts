import type { CopyStatus } from '../../protocol/messages/message.js';
import { plan } from '../../protocol/session/plan.js';
import type { StateInfo } from '../../protocol/state.js';
import type { StateId, VolumeId } from '../../protocol/units.js';
import type { CompareDoubt } from './compare-source.js';
import type { CopyStanding } from './copy-standing.js';
import {
  OTHER_VOLUME,
  OTHER_WRITER,
  otherWriterText,
  STRANGER,
  strangerText,
  waitsForSeed,
  type Refusal,
} from './refusal.js';
import type { Spool } from './spool.js';
import type { TravelPins } from './travel-pins.js';

export interface SetCourseOptions {
  readonly volumeName: string;
  readonly volumeId: VolumeId;
  readonly backup: string;
  readonly spool: Spool;
  readonly pins: TravelPins;
  readonly copy: CopyStanding;
}

/**
 * How the copy comes to a target. `applied`: it is there. `durable`: it holds the set and will apply it. `send`: the set
 * from there must travel; `from: null` is a first copy. `compare`: no set could be trusted to lead there before the two
 * sides are compared, of all or of what is in `doubt`; `why` is for this side's operator, `said` for the backup's.
 * `refuse`: only the operator can help.
 */
export type NextStep =
  | { readonly kind: 'applied' }
  | { readonly kind: 'durable' }
  | { readonly kind: 'send'; readonly from: StateId | null }
  | {
      readonly kind: 'compare';
      readonly level: 'warning' | 'error';
      readonly why: string;
      /** null: the backup knows. */
      readonly said: string | null;
      readonly doubt: CompareDoubt | null;
    }
  | { readonly kind: 'refuse'; readonly refusal: Refusal };

/** What can be done for a target while nobody is connected; `wait`: nothing before the backup has told where it stands. */
export type StepAhead =
  | { readonly kind: 'durable' }
  | { readonly kind: 'wait' }
  | { readonly kind: 'spool'; readonly from: StateId | null };

/**
 * Which set leads to a target, decided from pins, spool and the copy's standing alone. A set is never built on a state
 * that this side does not know, nor on one since which changes may have gone unnoticed, nor on a copy that somebody else
 * wrote.
 */
export class SetCourse {
  readonly #options: SetCourseOptions;

  constructor(options: SetCourseOptions) {
    this.#options = options;
  }

  /** For a copy that stands at `remote`, what the session's backup has told. */
  next(target: StateInfo, remote: CopyStatus): NextStep {
    const { volumeName, volumeId, backup, pins, copy } = this.#options;
    const states = pins.states.map((state) => state.id);
    const found = plan({ volumeId, states, base: pins.base?.id ?? null, target: target.id }, remote);
    switch (found.kind) {
      case 'applied':
      case 'durable':
        return found;
      case 'send':
        if (found.from === null) {
          const { seed } = pins;
          return seed === null ? found : { kind: 'refuse', refusal: waitsForSeed(volumeName, backup, seed) };
        }
        if (copy.isByStrangerTo(pins.openings)) {
          return {
            kind: 'compare',
            level: 'error',
            why: otherWriterText(volumeName, backup),
            said: OTHER_WRITER,
            doubt: null,
          };
        }
        if (this.#isInDoubt(found.from, target)) {
          const said = pins.doubtText ?? 'changes may have gone unnoticed';
          const why = `${volumeName}: changes may have gone unnoticed; it is compared with its copy`;
          const within = pins.blocksInDoubt(found.from);
          const doubt = within === null ? null : { from: found.from, within };
          return { kind: 'compare', level: 'warning', why, said, doubt };
        }
        return this.#suspectStep(found.from, target, remote) ?? found;
      case 'conflict':
        return found.reason === 'unknown-state'
          ? {
              kind: 'compare',
              level: 'error',
              why: strangerText(volumeName, backup, remote),
              said: STRANGER,
              doubt: null,
            }
          : { kind: 'refuse', refusal: OTHER_VOLUME };
      default:
        return found satisfies never;
    }
  }

  /** With nobody connected: what will most likely be asked for. */
  ahead(target: StateInfo): StepAhead {
    const { pins, spool } = this.#options;
    const base = pins.base?.id ?? null;
    if (base === target.id) return { kind: 'durable' };
    if (base === null && pins.seed !== null) return { kind: 'wait' };
    if (base !== null && this.#isInDoubt(base, target)) return { kind: 'wait' };
    const { set } = spool;
    // It is to be turned: what of it the backup holds is known when it is connected.
    if (pins.earlier.some(({ id }) => id === set?.to)) return { kind: 'wait' };
    const from = set?.from ?? null;
    // The backup may have been found at another state than the base: the set it asked for is kept while it can be made.
    const isKept =
      set?.to === target.id &&
      (set.digest !== null || from === null || pins.states.some(({ id }) => id === from));
    return { kind: 'spool', from: isKept ? from : base };
  }

  /** The compare of what has rotted in the copy, before a set of which the backup holds nothing yet; null: there is none due. */
  #suspectStep(from: StateId, target: StateInfo, { capture }: CopyStatus): NextStep | null {
    const { volumeName, backup, copy } = this.#options;
    const within = copy.suspectsAt(from);
    if (within.length === 0 || capture?.to === target.id) return null;
    const why = `${volumeName}: ${backup} has found damage in its copy; what is damaged is compared, and sent anew`;
    return { kind: 'compare', level: 'warning', why, said: null, doubt: { from, within } };
  }

  /** May a set from there lack changes. One that was spooled whole before the doubt does not. */
  #isInDoubt(from: StateId, target: StateInfo): boolean {
    const { set } = this.#options.spool;
    const isSpooled = set?.from === from && set.to === target.id && set.digest !== null;
    return !isSpooled && this.#options.pins.isInDoubt(from, target);
  }
}
