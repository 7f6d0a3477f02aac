import { spawn } from 'node:child_process';
import type { Clock } from '../platform/clock.js';

export interface HookRequest {
  /** For `/bin/sh -c`. */
  readonly command: string;
  readonly timeoutMs: number;
  readonly cwd: string;
  /** On top of the appliance's own environment. */
  readonly environment: Readonly<Record<string, string>>;
  readonly clock: Clock;
  /** Told the process that leads the command's group; the command itself begins only when this has resolved. */
  readonly onStarted?: (pid: number) => Promise<void>;
  /** Ends it early. */
  readonly signal?: AbortSignal;
}

export interface HookResult {
  /** Why it counts as failed, in a few words with the end of what it said; null: exit code 0. */
  readonly trouble: string | null;
  /** The beginning of what it wrote to stdout and stderr. */
  readonly output: string;
}

/**
 * Begins the command when it is told to. If farcopy is killed before that, the pipe ends and the command never begins,
 * so that none can be at work that nobody has noted.
 */
const GATE = 'read -r go || exit 125; exec /bin/sh -c "$1" </dev/null';

/** How much of a command's output is kept. */
export const MAX_OUTPUT_BYTES = 4096;
/** Between SIGTERM and SIGKILL. */
const KILL_AFTER_MS = 2000;
/** A child of the command may hold its pipes open for ever; after its own end so long is waited for the rest. */
const DRAIN_MS = 200;

/**
 * Runs a command of the operator's in a shell, as the leader of a process group of its own: on timeout or abort the
 * whole group is told to end, then killed. Never rejects. What it says goes nowhere but into the result, so a command
 * that talks much cannot fill anything.
 */
export function runHook(request: HookRequest): Promise<HookResult> {
  const { command, timeoutMs, cwd, environment, clock, signal } = request;
  return new Promise((resolve) => {
    const child = spawn('/bin/sh', ['-c', GATE, 'sh', command], {
      cwd,
      env: { ...process.env, ...environment },
      stdio: ['pipe', 'pipe', 'pipe'],
      detached: true,
    });
    // One that ended before it was told to begin.
    child.stdin.on('error', () => undefined);
    const begin = (): void => void child.stdin.end('go\n');
    if (request.onStarted === undefined || child.pid === undefined) begin();
    else
      void request
        .onStarted(child.pid)
        .then(begin, (error: unknown) => stop(`it cannot begin: ${String(error)}`));
    const kept: Buffer[] = [];
    let room = MAX_OUTPUT_BYTES;
    const keep = (bytes: Buffer): void => {
      if (room <= 0) return;
      kept.push(bytes.subarray(0, room));
      room -= bytes.byteLength;
    };
    child.stdout.on('data', keep);
    child.stderr.on('data', keep);

    let stopped: string | null = null;
    let cancelKill = (): void => undefined;
    const stop = (why: string): void => {
      if (stopped !== null) return;
      stopped = why;
      signalGroup(child.pid, 'SIGTERM');
      cancelKill = clock.after(KILL_AFTER_MS, () => signalGroup(child.pid, 'SIGKILL'));
    };
    const onAbort = (): void => stop('it was given up');
    const cancelTimeout = clock.after(timeoutMs, () => stop(`not done after ${timeoutMs / 1000} s`));
    if (signal?.aborted === true) onAbort();
    else signal?.addEventListener('abort', onAbort, { once: true });

    let isOver = false;
    const finish = (trouble: string | null): void => {
      if (isOver) return;
      isOver = true;
      cancelTimeout();
      cancelKill();
      signal?.removeEventListener('abort', onAbort);
      // What is left of a command that was stopped must not go on behind our back.
      if (stopped !== null) signalGroup(child.pid, 'SIGKILL');
      child.stdout.destroy();
      child.stderr.destroy();
      const output = Buffer.concat(kept).toString('utf8').trim();
      const said = trouble === null || output === '' ? '' : ` (${lastLine(output)})`;
      resolve({ trouble: trouble === null ? null : `${trouble}${said}`, output });
    };
    child.once('error', (error) => finish(`it cannot be run: ${error.message}`));
    child.once('exit', (code, killed) => {
      const trouble =
        stopped ?? (code === 0 ? null : code === null ? `ended by ${killed}` : `exit code ${code}`);
      child.once('close', () => finish(trouble));
      clock.after(DRAIN_MS, () => finish(trouble));
    });
  });
}

/** Sends a signal to a whole process group; one that is gone already is fine. */
export function signalGroup(pid: number | undefined, name: NodeJS.Signals): void {
  if (pid === undefined) return;
  try {
    process.kill(-pid, name);
  } catch {
    // The group is gone already.
  }
}

const MAX_LINE = 200;

const lastLine = (text: string): string => (text.split('\n').at(-1) ?? '').slice(0, MAX_LINE);
