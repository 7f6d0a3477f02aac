import { groupId } from '../../protocol/units.js';
import type { StateInfo } from '../../protocol/state.js';
import type {
  GroupAnswer,
  GroupStep,
  SealAttempt,
  SealCondition,
  SealRequest,
  VolumeService,
} from '../engine/volume-service.js';
import type { Clock } from '../platform/clock.js';
import { randomId, type Random } from '../platform/random.js';
import { SerialQueue } from '../platform/serial-queue.js';

export interface GroupMember {
  readonly name: string;
  readonly volume: Pick<VolumeService, 'groupStep'>;
}

export interface GroupSealOptions {
  readonly name: string;
  /** At least one, in the order of the configuration. */
  readonly members: readonly GroupMember[];
  readonly clock: Clock;
  readonly random: Random;
}

/** A member whose thread was busy may have let its writes go on before the others held theirs: then it is tried again. */
const TRIES = 10;

/**
 * Seals several volumes at one instant, wherever their threads are, behind a barrier (`GroupStep`). To those who take
 * snapshots it is one volume: `state` is that of the first member, and `group` has them all.
 */
export class GroupSeal implements Pick<VolumeService, 'seal' | 'sealIf'> {
  readonly #options: GroupSealOptions;
  readonly #queue = new SerialQueue();

  constructor(options: GroupSealOptions) {
    this.#options = options;
  }

  async seal(request: SealRequest): Promise<StateInfo> {
    const attempt = await this.sealIf(request, {});
    if (attempt.kind !== 'sealed') throw this.#tooSlow();
    return attempt.state;
  }

  sealIf(request: SealRequest, condition: SealCondition): Promise<SealAttempt> {
    return this.#queue.run(async () => {
      for (let tries = 0; tries < TRIES; tries++) {
        const attempt = await this.#attempt(request, condition);
        if (attempt.kind !== 'too-late') return attempt;
        if (condition.notAfter !== undefined && this.#options.clock.wall() > condition.notAfter)
          return attempt;
      }
      throw this.#tooSlow();
    });
  }

  async #attempt(request: SealRequest, { quietMs, notAfter }: SealCondition): Promise<SealAttempt> {
    const { clock, random } = this.#options;
    const ticket = randomId(random);
    try {
      await this.#all(() => ({ kind: 'prepare', ticket }));
      const held = await this.#all(() => ({
        kind: 'hold',
        ticket,
        ...(quietMs !== undefined && { quietMs }),
      }));
      // Between the two, no member admits a write: this is the instant.
      const time = clock.wall();
      const flipped =
        held ??
        (await this.#all(() => ({
          kind: 'flip',
          ticket,
          isPinned: request.pinAs.length > 0,
          ...(notAfter !== undefined && { notAfter }),
        })));
      if (flipped !== null) return flipped;
      const group = groupId(randomId(random));
      const states: Record<string, StateInfo> = {};
      await this.#all(
        () => ({ kind: 'name', ticket, request: { ...request, group, time } }),
        (name, answer) => {
          if (answer.kind === 'sealed') states[name] = answer.state;
        },
      );
      const first = states[this.#options.members[0]?.name ?? ''];
      if (first === undefined) throw new Error('a group has no volumes');
      return { kind: 'sealed', state: first, group: states };
    } finally {
      await this.#all(() => ({ kind: 'abandon', ticket })).catch(() => undefined);
    }
  }

  /**
   * Lets every member take a step; answers the first obstacle, null if there was none. Waits for all of them, also
   * when one fails.
   */
  async #all(
    step: () => GroupStep,
    heard: (name: string, answer: GroupAnswer) => void = () => undefined,
  ): Promise<Exclude<SealAttempt, { readonly kind: 'sealed' }> | null> {
    const results = await Promise.allSettled(
      this.#options.members.map(async ({ name, volume }) => {
        const answer = await volume.groupStep(step());
        heard(name, answer);
        return answer;
      }),
    );
    let obstacle: Exclude<SealAttempt, { readonly kind: 'sealed' }> | null = null;
    for (const result of results) {
      if (result.status === 'rejected') throw result.reason;
      if (result.value.kind === 'not-quiet' || result.value.kind === 'too-late') obstacle ??= result.value;
    }
    return obstacle;
  }

  #tooSlow(): Error {
    const { name, members } = this.#options;
    const names = members.map((member) => member.name).join(', ');
    return new Error(
      `the volumes of group ${name} (${names}) could not be held at one instant: a thread or a disk is too slow`,
    );
  }
}
