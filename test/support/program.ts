import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import type { Sandbox } from './sandbox.js';

/** How a program ended. */
export interface Finished {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface RunOptions {
  readonly cwd?: string;
  readonly env?: Readonly<Record<string, string>>;
  readonly timeoutMs?: number;
  /** The words of a command that starts the program, such as `unshare --mount`, and becomes it. */
  readonly through?: readonly string[];
}

/** Runs a program to its end; it is killed, and the call fails, after `timeoutMs` (60 s). */
export async function run(
  program: string,
  args: readonly string[],
  options: RunOptions = {},
): Promise<Finished> {
  const child = new RunningProgram(program, args, options);
  const timeoutMs = options.timeoutMs ?? 60_000;
  const state = { late: false };
  const timer = setTimeout(() => {
    state.late = true;
    child.signal('SIGKILL');
  }, timeoutMs);
  const finished = await child.finished;
  clearTimeout(timer);
  if (state.late) {
    throw new Error(
      `${[program, ...args].join(' ')}: not done after ${timeoutMs} ms\n${finished.stdout}\n${finished.stderr}`,
    );
  }
  return finished;
}

/** Runs a program that has to succeed; what it printed. */
export async function must(
  program: string,
  args: readonly string[],
  options: RunOptions = {},
): Promise<string> {
  const { code, signal, stdout, stderr } = await run(program, args, options);
  if (code === 0) return stdout;
  throw new Error(
    `${[program, ...args].join(' ')}: exit ${code ?? signal ?? '?'}\n${stdout}\n${stderr}`.trim(),
  );
}

/** A program that is running: what it printed so far, and its end. It leads a process group of its own. */
export class RunningProgram {
  readonly finished: Promise<Finished>;
  readonly #child: ChildProcess;
  #stdout = '';
  #stderr = '';
  #ended = false;

  constructor(program: string, args: readonly string[], options: RunOptions = {}) {
    const [first, ...more] = [...(options.through ?? []), program, ...args] as [string, ...string[]];
    this.#child = spawn(first, more, {
      cwd: options.cwd,
      env: { ...process.env, ...options.env },
      stdio: ['ignore', 'pipe', 'pipe'],
      detached: true,
    });
    this.#child.stdout?.setEncoding('utf8').on('data', (text: string) => (this.#stdout += text));
    this.#child.stderr?.setEncoding('utf8').on('data', (text: string) => (this.#stderr += text));
    this.finished = this.#finish();
  }

  /** Starts a program that is killed, with its whole process group, when the sandbox closes. */
  static start(
    sandbox: Sandbox,
    program: string,
    args: readonly string[],
    options: RunOptions = {},
  ): RunningProgram {
    const child = new RunningProgram(program, args, options);
    sandbox.defer(
      program,
      () => child.kill(),
      () => child.signal('SIGKILL'),
    );
    return child;
  }

  get pid(): number {
    if (this.#child.pid === undefined) throw new Error('the program did not start');
    return this.#child.pid;
  }
  get stdout(): string {
    return this.#stdout;
  }
  get stderr(): string {
    return this.#stderr;
  }
  get running(): boolean {
    return !this.#ended;
  }

  /** To the whole process group, so that a launcher cannot hide the process it launched. */
  signal(signal: NodeJS.Signals): void {
    const { pid } = this.#child;
    if (pid === undefined) return;
    try {
      process.kill(-pid, signal);
    } catch {
      // The group is gone already.
    }
  }

  /** Kills the group and waits for its leader's end. */
  async kill(): Promise<void> {
    this.signal('SIGKILL');
    await this.finished;
  }

  async #finish(): Promise<Finished> {
    let failure = '';
    const closed = new Promise<[number | null, NodeJS.Signals | null]>((resolve) => {
      this.#child.once('close', (code, signal) => resolve([code, signal]));
      this.#child.once('error', (cause) => {
        failure = cause.message;
        if (this.#child.pid === undefined) resolve([127, null]);
      });
    });
    // `close` waits for pipes that an orphan may still hold; the leader's own end is what counts for `running`.
    void once(this.#child, 'exit').then(
      () => (this.#ended = true),
      () => undefined,
    );
    const [code, signal] = await closed;
    this.#ended = true;
    return { code, signal, stdout: this.#stdout, stderr: this.#stderr + failure };
  }
}
