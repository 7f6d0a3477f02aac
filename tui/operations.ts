import type { VolumeStatus } from '../src/appliance/status.js';
import { formatDuration, formatSize } from '../src/config/units.js';
import type { OperationOptions } from '../src/control/appliance-control.js';
import type { Operated } from './operated.js';
import { blocksText } from './view-models/quantities.js';
import type { Tone } from './view-models/row.js';

/** What an operation has to say, for the line above the keys. */
export interface Message {
  readonly text: string;
  readonly tone: Tone;
}

/** What the keys set going: runs beside the screen, tells how it began and how it ended. */
export class Operations {
  readonly #control: Operated;
  readonly #signal: AbortSignal;
  readonly #tell: (message: Message) => void;
  readonly #underWay = new Set<string>();

  /** @param signal ends the waiting for those under way; what was begun goes on in the appliance */
  constructor(control: Operated, signal: AbortSignal, tell: (message: Message) => void) {
    this.#control = control;
    this.#signal = signal;
    this.#tell = tell;
  }

  sync({ name }: VolumeStatus, to?: string): void {
    this.#run(`sync of ${name}`, `sync of ${name}: taking a consistent snapshot …`, async (options) => {
      const result = await this.#control.sync({ volume: name, ...(to !== undefined && { to }) }, options);
      const { state, grade, blocks, bytesSent, seconds } = result;
      return (
        `${name} is safe as state ${state.slice(0, 8)} (${grade}): ${blocksText(blocks)}, ` +
        `${formatSize(bytesSent)} sent, ${formatDuration(seconds * 1000)}.`
      );
    });
  }

  snapshot({ name }: VolumeStatus): void {
    this.#run(`snapshot of ${name}`, `snapshot of ${name} …`, async () => {
      const { state, grade } = await this.#control.snapshot({ volume: name });
      return `${name}: sealed as state ${state.slice(0, 8)} (${grade}); it is sent as soon as a link is up.`;
    });
  }

  compare({ name }: VolumeStatus, to?: string): void {
    const compare = this.#control.compare?.bind(this.#control);
    if (compare === undefined) {
      this.#cannot('compare');
      return;
    }
    this.#run(`compare of ${name}`, `compare of ${name} with its far copy …`, async (options) => {
      const request = { volume: name, ...(to !== undefined && { to }) };
      const { equal, differing } = await compare(request, options);
      return equal
        ? `${name}: the far copy is equal.`
        : `${name}: ${blocksText(differing)} differed; they are sent again.`;
    });
  }

  pauseOrResume({ name, paused }: VolumeStatus): void {
    const pause = this.#control.pause?.bind(this.#control);
    const resume = this.#control.resume?.bind(this.#control);
    if (pause === undefined || resume === undefined) {
      this.#cannot('pause');
      return;
    }
    this.#run(`pause of ${name}`, null, async () => {
      await (paused === true ? resume : pause)({ volume: name });
      return paused === true ? `${name}: goes on.` : `${name}: paused; p again lets it go on.`;
    });
  }

  hangUp(link: string): void {
    const hangUp = this.#control.hangUp?.bind(this.#control);
    if (hangUp === undefined) {
      this.#cannot('hang up');
      return;
    }
    this.#run(`hanging up ${link}`, null, async () => {
      await hangUp({ link });
      return `${link}: hung up. This side does not call on it for five minutes.`;
    });
  }

  #cannot(what: string): void {
    this.#tell({ text: `This appliance cannot ${what} yet.`, tone: 'warning' });
  }

  #run(what: string, begun: string | null, work: (options: OperationOptions) => Promise<string>): void {
    if (this.#underWay.has(what)) {
      this.#tell({ text: `The ${what} is still under way.`, tone: 'warning' });
      return;
    }
    this.#underWay.add(what);
    if (begun !== null) this.#tell({ text: begun, tone: 'plain' });
    let phase = '';
    const options: OperationOptions = {
      signal: this.#signal,
      progress: (progress) => {
        if (progress.phase === phase) return;
        phase = progress.phase;
        this.#tell({ text: `${what}: ${phase} …`, tone: 'plain' });
      },
    };
    void work(options)
      .then(
        (text): Message => ({ text, tone: 'good' }),
        (error: unknown): Message => ({ text: failureText(what, error), tone: 'bad' }),
      )
      .then((message) => {
        this.#underWay.delete(what);
        if (!this.#signal.aborted) this.#tell(message);
      });
  }
}

function failureText(what: string, error: unknown): string {
  if (!(error instanceof Error)) return `${what}: ${String(error)}`;
  const hint = 'hint' in error && typeof error.hint === 'string' ? ` (${error.hint})` : '';
  return `${what}: ${error.message}${hint}`;
}
