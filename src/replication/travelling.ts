import type { StateInfo } from '../../protocol/state.js';
import type { StateId } from '../../protocol/units.js';
import type { TravelPins } from './travel-pins.js';

/** The state that travels to one backup, from the choice of it until it has arrived. What must last is in the pins. */
export class Travelling {
  readonly #pins: TravelPins;
  #target: StateInfo | null = null;
  #isDurable = false;
  #isUnheard = false;

  constructor(pins: TravelPins) {
    this.#pins = pins;
  }

  /** null: none does. */
  get target(): StateInfo | null {
    return this.#target;
  }

  /** The backup holds all of its set, and only the apply is awaited. */
  get isDurable(): boolean {
    return this.#isDurable;
  }

  /** Is this a target that was chosen in this run and offered to nobody yet. */
  isUnheard(state: StateId): boolean {
    return this.#target?.id === state && this.#isUnheard;
  }

  /** The backup is about to hear of the target, or has heard of it. */
  noteOffered(): void {
    this.#isUnheard = false;
  }

  /** Is this what travels, and not held durably yet. */
  isStill(state: StateInfo): boolean {
    return this.#target?.id === state.id && !this.#isDurable;
  }

  /** Takes up what an earlier run left. */
  takeUp(): void {
    this.#target ??= this.#pins.travelling;
  }

  /** The next state is what travels from now on. */
  async depart(next: StateInfo): Promise<void> {
    await this.#pins.depart(next);
    this.#leaveFor(next);
  }

  /** A newer state takes the place of one that can no longer be read: the one that waits, else a fresh one. */
  async departAnew(): Promise<void> {
    await this.#pins.refresh();
    const { next } = this.#pins;
    if (next === null) this.#leaveFor(await this.#pins.departAfresh());
    else await this.depart(next);
  }

  /** The backup holds the state durably: what is older may go. */
  async settle(): Promise<void> {
    if (this.#target === null || this.#isDurable) return;
    await this.#pins.settle(this.#target);
    this.#isDurable = true;
  }

  /** The backup is known to hold it, by the pins. */
  foundDurable(): void {
    this.#isDurable = true;
  }

  async arrive(): Promise<void> {
    await this.#pins.arrive();
    this.#target = null;
    this.#isDurable = false;
  }

  #leaveFor(target: StateInfo): void {
    this.#target = target;
    this.#isDurable = false;
    this.#isUnheard = true;
  }
}
