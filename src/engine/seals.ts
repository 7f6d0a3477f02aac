import type { StateInfo } from '../../protocol/state.js';
import { SerialQueue } from '../platform/serial-queue.js';
import { GroupPart } from './group-part.js';
import { EpochSeal, sealEpoch, type SealParts } from './seal.js';
import type { GroupAnswer, GroupStep, SealAttempt, SealCondition, SealRequest } from './volume-service.js';
import type { WriteActivity } from './write-activity.js';

export interface SealsOptions extends Omit<SealParts, 'obstacle'> {
  readonly activity: WriteActivity;
  readonly isInUse: () => boolean;
  /** A state exists; the answer to who asked for it waits for this. */
  readonly onSealed: () => Promise<void>;
  /** Epochs came, or might have come. */
  readonly onEnded: () => void;
}

/** The seals of a volume, one at a time: at once, on a condition, or as its part in a seal of its group. */
export class Seals {
  readonly #options: SealsOptions;
  readonly #turns = new SerialQueue();
  readonly #groupPart: GroupPart;

  constructor(options: SealsOptions) {
    this.#options = options;
    this.#groupPart = new GroupPart({
      take: () =>
        new Promise((resolve) => {
          void this.#turns.run(() => new Promise<void>((giveBack) => resolve(giveBack)));
        }),
      prepare: () => EpochSeal.prepare(options),
      hold: () => options.writer.lock.hold(),
      obstacle: (condition) => this.#obstacle(condition),
      clock: options.clock,
    });
  }

  async seal(request: SealRequest): Promise<StateInfo> {
    const attempt = await this.sealIf(request, {});
    if (attempt.kind !== 'sealed') throw new Error('a seal without a condition was refused');
    return attempt.state;
  }

  sealIf(request: SealRequest, condition: SealCondition): Promise<SealAttempt> {
    return this.#turns.run(async () => {
      const { onSealed, onEnded } = this.#options;
      try {
        const attempt = await sealEpoch(
          { ...this.#options, obstacle: () => this.#obstacle(condition) },
          request,
        );
        if (attempt.kind === 'sealed') await onSealed();
        return attempt;
      } finally {
        onEnded();
      }
    });
  }

  async groupStep(step: GroupStep): Promise<GroupAnswer> {
    const { onSealed, onEnded } = this.#options;
    const answer = await this.#groupPart.take(step);
    if (answer.kind === 'sealed') await onSealed();
    if (step.kind === 'name' || step.kind === 'abandon') onEnded();
    return answer;
  }

  /** The volume's part in seals of its group is over. */
  endGroupPart(): Promise<void> {
    return this.#groupPart.close();
  }

  /** Resolves when none is under way. */
  async idle(): Promise<void> {
    await this.#turns.idle();
  }

  /** Why not to seal now; null: nothing is in the way. */
  #obstacle({ quietMs, notAfter }: SealCondition): ReturnType<SealParts['obstacle']> {
    const { clock, activity, isInUse } = this.#options;
    if (notAfter !== undefined && clock.wall() > notAfter) return { kind: 'too-late' };
    if (quietMs === undefined) return null;
    const quietForMs = activity.quietForMs(isInUse());
    return quietForMs !== null && quietForMs >= quietMs ? null : { kind: 'not-quiet', quietForMs };
  }
}
