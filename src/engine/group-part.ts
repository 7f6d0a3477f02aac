import type { Clock } from '../platform/clock.js';
import { VolumeError } from './errors.js';
import type { EpochSeal } from './seal.js';
import type { GroupAnswer, GroupStep, SealAttempt, SealCondition } from './volume-service.js';

/** Users wait for as long as a volume holds their writes; another volume of the group may be slow to hold its own. */
export const HELD_AT_MOST_MS = 500;

export interface GroupPartOptions {
  /** The volume's turn to seal is this group's from `take` until `giveBack`. */
  readonly take: () => Promise<() => void>;
  readonly prepare: () => Promise<EpochSeal>;
  /** Holds back new writes; the answer lets them go on. */
  readonly hold: () => () => void;
  readonly obstacle: (condition: SealCondition) => Exclude<SealAttempt, { readonly kind: 'sealed' }> | null;
  readonly clock: Clock;
}

interface Part {
  readonly seal: EpochSeal;
  readonly giveBack: () => void;
  /** Writes are held. */
  release: (() => void) | null;
}

/** A volume's part in seals of its group: the steps of `GroupStep`, one ticket at a time. */
export class GroupPart {
  readonly #options: GroupPartOptions;
  readonly #parts = new Map<string, Part>();

  constructor(options: GroupPartOptions) {
    this.#options = options;
  }

  async take(step: GroupStep): Promise<GroupAnswer> {
    if (step.kind === 'prepare') return this.#prepare(step.ticket);
    const part = this.#parts.get(step.ticket);
    if (step.kind === 'abandon') {
      if (part !== undefined) await this.#end(step.ticket, part);
      return { kind: 'done' };
    }
    if (part === undefined) throw new VolumeError('closed', 'this seal of the group is over');
    switch (step.kind) {
      case 'hold':
        return this.#hold(part, step.quietMs);
      case 'flip': {
        const { release } = part;
        if (release === null) return { kind: 'too-late' };
        const obstacle = this.#options.obstacle(
          step.notAfter === undefined ? {} : { notAfter: step.notAfter },
        );
        if (obstacle === null) part.seal.flip(step.isPinned);
        release();
        return obstacle ?? { kind: 'done' };
      }
      case 'name':
        try {
          return { kind: 'sealed', state: await part.seal.name(step.request) };
        } finally {
          this.#parts.delete(step.ticket);
          part.giveBack();
        }
    }
  }

  /** Gives up what is under way, so that nothing waits for it. */
  async close(): Promise<void> {
    for (const [ticket, part] of this.#parts) await this.#end(ticket, part).catch(() => undefined);
  }

  async #prepare(ticket: string): Promise<GroupAnswer> {
    const giveBack = await this.#options.take();
    try {
      this.#parts.set(ticket, { seal: await this.#options.prepare(), giveBack, release: null });
      return { kind: 'done' };
    } catch (error) {
      giveBack();
      throw error;
    }
  }

  #hold(part: Part, quietMs: number | undefined): GroupAnswer {
    const obstacle = this.#options.obstacle(quietMs === undefined ? {} : { quietMs });
    if (obstacle !== null) return obstacle;
    const letGo = this.#options.hold();
    const release = (): void => {
      cancel();
      part.release = null;
      letGo();
    };
    const cancel = this.#options.clock.after(HELD_AT_MOST_MS, release);
    part.release = release;
    return { kind: 'done' };
  }

  async #end(ticket: string, part: Part): Promise<void> {
    this.#parts.delete(ticket);
    part.release?.();
    try {
      await part.seal.giveUp();
    } finally {
      part.giveBack();
    }
  }
}
