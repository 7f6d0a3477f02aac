import type { ApplianceStatus, VolumeStatus } from '../src/appliance/status.js';
import type { PointSummary } from '../src/control/appliance-control.js';
import type { Clock } from '../src/platform/clock.js';
import { actionOf, type Action } from './keymap.js';
import { Operations, type Message } from './operations.js';
import type { Operated } from './operated.js';
import type { Terminal } from './terminal.js';
import { choiceDialog, helpDialog, questionDialog, type Dialog } from './view-models/dialog.js';
import { ASCII_GLYPHS, UNICODE_GLYPHS } from './view-models/glyphs.js';
import { NO_PACE, observe, type Pace } from './view-models/pace.js';
import { picture } from './view-models/picture.js';
import { Calendar } from './view-models/quantities.js';
import type { Drawing } from './view-models/screen-state.js';

export interface TuiOptions {
  readonly control: Operated;
  readonly terminal: Terminal;
  readonly clock: Clock;
  /** Whether the UI runs within the appliance, so that quitting stops it. */
  readonly owner: boolean;
  /** Ends the UI as `q` does, unasked. */
  readonly stop: AbortSignal;
}

const LOOK_EVERY_MS = 1000;
/** An appliance that has not answered for so long is said not to. */
const SLOW_AFTER_MS = 5000;
const EVENTS_STEP = 5;

/** An open dialog and what a key does there; every key closes it. */
interface OpenDialog {
  readonly dialog: Dialog;
  readonly take: (key: string) => void;
}

/** Shows an appliance and takes keys until the operator quits or `stop` aborts; the terminal is given back then. */
export async function runTui(options: TuiOptions): Promise<void> {
  const app = new App(options);
  try {
    await app.run();
  } finally {
    options.terminal.close();
  }
}

class App {
  readonly #options: TuiOptions;
  readonly #operations: Operations;
  readonly #calendar = new Calendar();
  readonly #ended = new AbortController();
  #status: ApplianceStatus | null = null;
  #pace: Pace = NO_PACE;
  #heardAt = 0;
  #stale: string | null = null;
  #chosen: string | null = null;
  #points: {
    readonly of: string;
    readonly state: string | null;
    readonly list: readonly PointSummary[];
  } | null = null;
  #message: Message | null = null;
  #eventsBack = 0;
  #open: OpenDialog | null = null;
  #looking = false;
  #cancelNext: () => void = () => undefined;

  constructor(options: TuiOptions) {
    this.#options = options;
    this.#operations = new Operations(options.control, this.#ended.signal, (message) => this.#tell(message));
  }

  async run(): Promise<void> {
    const { terminal, stop } = this.#options;
    const over = new Promise<void>((resolve) => {
      this.#ended.signal.addEventListener('abort', () => resolve(), { once: true });
    });
    const end = (): void => this.#end();
    if (stop.aborted) return;
    stop.addEventListener('abort', end, { once: true });
    terminal.onKey((key) => this.#press(key));
    terminal.onResize(() => this.#draw());
    this.#draw();
    void this.#look();
    await over;
    stop.removeEventListener('abort', end);
  }

  #end(): void {
    this.#cancelNext();
    this.#ended.abort(new Error('the terminal UI has ended'));
  }

  /** Asks for the newest status, and again in a second. */
  async #look(): Promise<void> {
    if (this.#looking) return;
    this.#looking = true;
    this.#cancelNext();
    const { control, clock } = this.#options;
    const cancelSlow = clock.after(SLOW_AFTER_MS, () =>
      this.#becomeStale('The appliance is slow to answer.'),
    );
    try {
      const status = await control.status();
      this.#take(status);
      await this.#lookAtPoints(status);
    } catch (error) {
      this.#becomeStale(`${(error as Error).message}; trying again.`);
    } finally {
      cancelSlow();
      this.#looking = false;
    }
    this.#draw();
    if (!this.#ended.signal.aborted) this.#cancelNext = clock.after(LOOK_EVERY_MS, () => void this.#look());
  }

  #becomeStale(why: string): void {
    this.#stale = why;
    this.#draw();
  }

  #take(status: ApplianceStatus): void {
    const more = eventsSince(this.#status, status);
    this.#status = status;
    this.#stale = null;
    this.#heardAt = this.#options.clock.wall();
    this.#pace = observe(this.#pace, status, this.#options.clock.now());
    // Who reads old events must not see them move.
    if (this.#eventsBack > 0) this.#scrollEvents(Math.max(0, more));
    if (!status.volumes.some(({ name }) => name === this.#chosen)) {
      this.#chosen = status.volumes[0]?.name ?? null;
    }
  }

  /** Lists the points of the chosen copy when it is another one or has a new state. */
  async #lookAtPoints(status: ApplianceStatus): Promise<void> {
    const volume = this.#volume;
    if (status.role !== 'backup' || volume === null) return;
    const state = volume.lastState?.id ?? null;
    if (this.#points?.of === volume.name && this.#points.state === state) return;
    const list = await this.#options.control.points({ volume: volume.name });
    this.#points = { of: volume.name, state, list };
  }

  get #volume(): VolumeStatus | null {
    return this.#status?.volumes.find(({ name }) => name === this.#chosen) ?? null;
  }

  #press(key: string): void {
    if (this.#ended.signal.aborted) return;
    const open = this.#open;
    if (open !== null) {
      this.#open = null;
      open.take(key);
    } else {
      const action = actionOf(key);
      if (action === null) return;
      this.#message = null;
      this.#act(action);
    }
    this.#draw();
  }

  #act(action: Action): void {
    switch (action) {
      case 'sync':
      case 'compare': {
        this.#withBackup(action);
        return;
      }
      case 'snapshot': {
        this.#askSnapshot();
        return;
      }
      case 'pause': {
        if (!this.#isPrimaryOnly('A pause')) {
          this.#withVolume((volume) => this.#operations.pauseOrResume(volume));
        }
        return;
      }
      case 'hang-up': {
        this.#hangUp();
        return;
      }
      case 'refresh':
        this.#points = null;
        {
          this.#tell({ text: 'Asked again.', tone: 'plain' });
          return;
        }
      case 'previous': {
        this.#choose(-1);
        return;
      }
      case 'next': {
        this.#choose(1);
        return;
      }
      case 'older-events': {
        this.#scrollEvents(EVENTS_STEP);
        return;
      }
      case 'newer-events': {
        this.#scrollEvents(-EVENTS_STEP);
        return;
      }
      case 'help':
        this.#open = { dialog: helpDialog(this.#status?.role, this.#options.owner), take: () => undefined };
        return;
      case 'quit': {
        this.#quit();
        return;
      }
      default:
        return action satisfies never;
    }
  }

  #withVolume(work: (volume: VolumeStatus) => void): void {
    const volume = this.#volume;
    if (volume === null) this.#tell({ text: 'There is no volume to do this with.', tone: 'warning' });
    else work(volume);
  }

  /** True, and says so, where the role does not do such a thing. */
  #isPrimaryOnly(what: string): boolean {
    if (this.#status?.role !== 'backup') return false;
    this.#tell({ text: `${what} is done on the primary.`, tone: 'warning' });
    return true;
  }

  #withBackup(action: 'sync' | 'compare'): void {
    if (this.#isPrimaryOnly(action === 'sync' ? 'A sync' : 'A compare')) return;
    this.#withVolume((volume) => {
      const run = (to?: string): void =>
        action === 'sync' ? this.#operations.sync(volume, to) : this.#operations.compare(volume, to);
      const backups = this.#status?.peers?.map(({ name }) => name) ?? [];
      if (backups.length < 2) run();
      else this.#choice(`${action} ${volume.name} with which backup?`, backups, run);
    });
  }

  #askSnapshot(): void {
    if (this.#isPrimaryOnly('A snapshot')) return;
    this.#withVolume((volume) => {
      const text = `Seal the state of ${volume.name} at this instant, with the grade application: the application is consistent now. (s waits for a consistent instant by itself.)`;
      this.#ask('Snapshot', text, 'it is consistent', () => this.#operations.snapshot(volume));
    });
  }

  #hangUp(): void {
    const up = (this.#status?.links ?? []).filter(
      ({ state }) => state === 'connected' || state === 'connecting',
    );
    const [only, ...others] = up;
    if (only === undefined) this.#tell({ text: 'No link is up.', tone: 'warning' });
    else if (others.length === 0) this.#operations.hangUp(only.name);
    else {
      this.#choice(
        'Hang up which link?',
        up.map(({ name }) => name),
        (name) => this.#operations.hangUp(name),
      );
    }
  }

  #quit(): void {
    if (!this.#options.owner) {
      this.#end();
      return;
    }
    const text =
      'The volumes leave NBD: programs that write to them get errors. Nothing is replicated until it is started again.';
    const backup = 'No calls are answered and no restore points are made until it is started again.';
    const isBackup = this.#status?.role === 'backup';
    this.#ask('Stop this appliance?', isBackup ? backup : text, 'stop it', () => this.#end());
  }

  #ask(title: string, text: string, yes: string, work: () => void): void {
    this.#open = {
      dialog: questionDialog(title, text, yes, this.#glyphs),
      // Who presses Ctrl-C twice wants to get out.
      take: (key) => {
        if (key === 'y' || key === 'Y' || key === 'S-y' || (key === 'C-c' && title.startsWith('Stop')))
          work();
      },
    };
  }

  #choice(title: string, options: readonly string[], work: (option: string) => void): void {
    this.#open = {
      dialog: choiceDialog(title, options, this.#glyphs),
      take: (key) => {
        const option = /^[1-9]$/.test(key) ? options[Number(key) - 1] : undefined;
        if (option !== undefined) work(option);
      },
    };
  }

  #choose(step: 1 | -1): void {
    const names = this.#status?.volumes.map(({ name }) => name) ?? [];
    const at = names.findIndex((name) => name === this.#chosen) + step;
    this.#chosen = names[Math.max(0, Math.min(names.length - 1, at))] ?? null;
    if (this.#points?.of !== this.#chosen) void this.#look();
  }

  #scrollEvents(by: number): void {
    const last = Math.max(0, (this.#status?.events.length ?? 0) - 1);
    this.#eventsBack = Math.max(0, Math.min(last, this.#eventsBack + by));
  }

  /** What has been done shows in the status as well. */
  #tell(message: Message): void {
    this.#message = message;
    this.#draw();
    void this.#look();
  }

  get #glyphs(): Drawing['glyphs'] {
    return this.#options.terminal.unicode ? UNICODE_GLYPHS : ASCII_GLYPHS;
  }

  #draw(): void {
    if (this.#ended.signal.aborted) return;
    const { terminal, clock, owner } = this.#options;
    const { width, height } = terminal;
    const drawing = { width, now: clock.wall(), glyphs: this.#glyphs, calendar: this.#calendar };
    const state = {
      status: this.#status,
      heardAt: this.#heardAt,
      stale: this.#stale,
      chosen: this.#chosen,
      points: this.#points?.of === this.#chosen ? this.#points.list : null,
      pace: this.#pace,
      message: this.#message,
      eventsBack: this.#eventsBack,
      owner,
    };
    terminal.show(picture(state, drawing, height), this.#open?.dialog ?? null);
  }
}

/** How many events the newer status has after the last one of the older. */
function eventsSince(older: ApplianceStatus | null, newer: ApplianceStatus): number {
  const last = older?.events.at(-1);
  const at = newer.events.findLastIndex((event) => event.time === last?.time && event.text === last.text);
  return newer.events.length - 1 - at;
}
