import { must, run } from './program.js';
import type { Sandbox } from './sandbox.js';
import { until } from './until.js';

export interface TmuxOptions {
  readonly width?: number;
  readonly height?: number;
  readonly env?: Readonly<Record<string, string>>;
}

/** What tmux knows of a terminal that a program in it cannot hide. */
export interface TerminalModes {
  /** The alternate screen, which a program must leave. */
  readonly alternate: boolean;
  readonly cursorShown: boolean;
}

/** A real terminal with a shell in it, in a tmux server of its own. */
export class Tmux {
  readonly #socket: string;

  private constructor(socket: string) {
    this.#socket = socket;
  }

  static async open(sandbox: Sandbox, name: string, options: TmuxOptions = {}): Promise<Tmux> {
    const { width = 80, height = 24, env = {} } = options;
    const tmux = new Tmux(sandbox.path(`tmux-${name}`));
    sandbox.defer(`tmux ${name}`, () =>
      tmux
        .#command(['kill-server'])
        .catch(() => undefined)
        .then(() => undefined),
    );
    const settings = Object.entries({ LANG: 'C.UTF-8', ...env }).map(([key, value]) => `${key}=${value}`);
    await must('env', [
      '-u',
      'TMUX',
      ...settings,
      'tmux',
      '-u',
      '-f',
      '/dev/null',
      '-S',
      tmux.#socket,
      ...['new-session', '-d', '-x', `${width}`, '-y', `${height}`],
      'exec bash --norc --noprofile',
    ]);
    await tmux.shows(/[$#]\s*$/m);
    return tmux;
  }

  /** Keys by tmux's names, such as `s`, `Down`, `C-c`. */
  async press(...keys: readonly string[]): Promise<void> {
    await this.#command(['send-keys', ...keys]);
  }

  /** Types a line for the shell. */
  async type(line: string): Promise<void> {
    await this.#command(['send-keys', '-l', line]);
    await this.press('Enter');
  }

  /** The screen as it is, line by line. */
  async screen(): Promise<readonly string[]> {
    return (await this.#command(['capture-pane', '-p'])).split('\n').slice(0, -1);
  }

  /** Waits until the screen shows this; the whole screen. */
  async shows(what: string | RegExp, timeoutMs = 20_000): Promise<string> {
    let last = '';
    return until(
      `the screen shows ${String(what)}`,
      async () => {
        last = (await this.screen()).join('\n');
        const there = typeof what === 'string' ? last.includes(what) : what.test(last);
        return there && last;
      },
      { timeoutMs, everyMs: 50, seen: () => `\n${last}` },
    );
  }

  async resize(width: number, height: number): Promise<void> {
    await this.#command(['resize-window', '-x', `${width}`, '-y', `${height}`]);
  }

  /** Closes the terminal, as its window is closed or its connection lost: it hangs up, and what is written to it fails. */
  async hangUp(): Promise<void> {
    await this.#command(['kill-server']);
  }

  async modes(): Promise<TerminalModes> {
    const text = await this.#command(['display-message', '-p', '#{alternate_on} #{cursor_flag}']);
    const [alternate, cursor] = text.trim().split(' ');
    return { alternate: alternate === '1', cursorShown: cursor === '1' };
  }

  async #command(args: readonly string[]): Promise<string> {
    const { code, stdout, stderr } = await run('tmux', ['-S', this.#socket, ...args]);
    if (code !== 0) throw new Error(`tmux ${args.join(' ')}: ${stderr}`);
    return stdout;
  }
}
