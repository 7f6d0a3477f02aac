import type { StateInfo } from '../../protocol/state.js';
import type { StateId } from '../../protocol/units.js';
import type { CopyStanding } from './copy-standing.js';
import type { SetBuild } from './set-build.js';
import type { SetSending } from './set-sending.js';
import type { SetTrouble } from './set-trouble.js';
import type { SetTurning } from './set-turning.js';
import type { Spool } from './spool.js';
import type { TravelPins } from './travel-pins.js';
import type { Travelling } from './travelling.js';

export interface TargetChoiceOptions {
  readonly volumeName: string;
  readonly backup: string;
  readonly spool: Spool;
  readonly onEvent: (level: 'info', text: string) => void;
  readonly pins: TravelPins;
  readonly travelling: Travelling;
  readonly copy: CopyStanding;
  readonly build: SetBuild;
  readonly sending: SetSending;
  readonly turning: SetTurning;
  readonly trouble: SetTrouble;
}

/**
 * Which state travels: the one already under way, else the newest that is to. One under way makes way for a newer one only
 * where nothing of it can be lost: nobody has heard of it, it is of no use any more, or its set is turned to the newer one.
 * In their turns of the queue.
 */
export class TargetChoice {
  readonly #options: TargetChoiceOptions;

  constructor(options: TargetChoiceOptions) {
    this.#options = options;
  }

  /** null: nothing is to travel. What is spooled and cannot be gathered to its end is discarded. */
  async take(): Promise<StateInfo | null> {
    const { pins, travelling, sending, turning, build } = this.#options;
    travelling.takeUp();
    const { target, isDurable } = travelling;
    const { next } = pins;
    if (next !== null && (target === null || (!isDurable && this.#givesWay(target, next)))) {
      await travelling.depart(next);
      sending.forget();
    }
    if (!turning.isSound) await build.discard();
    return travelling.target;
  }

  /** The state that is to travel next takes the place of the one that does, if it may; `from` is what the backup needs. */
  async turnToNewer(from: StateId | null, target: StateInfo): Promise<boolean> {
    const { pins, travelling, sending, turning, spool, volumeName, backup, onEvent } = this.#options;
    const { next: newer } = pins;
    if (newer === null || !(await turning.isDue(from, target, newer))) return false;
    sending.putAside();
    if (spool.set?.to === target.id) await pins.keepEarlier(target);
    await travelling.depart(newer);
    sending.forget();
    onEvent('info', `${volumeName}: a newer snapshot takes the place of the one on its way to ${backup}`);
    return true;
  }

  #givesWay(state: StateInfo, newer: StateInfo): boolean {
    const { copy, trouble, turning, pins } = this.#options;
    const { seed, base } = pins;
    // The copy came on a disk and is newer: no set leads back.
    const isPassed = seed !== null && seed.id === base?.id && seed.ordinal > state.ordinal;
    return (
      isPassed || trouble.isUnwanted(state) || (!copy.isConnected && turning.mayReplaceUnheard(state, newer))
    );
  }
}
