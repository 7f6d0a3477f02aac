import { createConnection } from 'node:net';
import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import type { ApplianceStatus } from '../../src/appliance/status.js';
import { must, run, RunningProgram, type Finished, type RunOptions } from './program.js';
import type { Sandbox } from './sandbox.js';
import { until } from './until.js';

/** The built command line beside this very build, whatever its output folder is called. */
export const MAIN = fileURLToPath(new URL('../../src/cli/main.js', import.meta.url));

/** `farcopy …` to its end. */
export const farcopy = (args: readonly string[], options: RunOptions = {}): Promise<Finished> =>
  run(process.execPath, [MAIN, ...args], options);

/** `farcopy … --json`, which has to succeed and to print exactly one JSON value. */
export async function farcopyJson<T>(args: readonly string[], options: RunOptions = {}): Promise<T> {
  const stdout = await must(process.execPath, [MAIN, ...args, '--json'], options);
  return JSON.parse(stdout) as T;
}

/** The command in the background; killed with the sandbox. */
export const farcopyRunning = (
  sandbox: Sandbox,
  args: readonly string[],
  options: RunOptions = {},
): RunningProgram => RunningProgram.start(sandbox, process.execPath, [MAIN, ...args], options);

/** `status` straight over the control socket: starting a command for it would take longer than some states last. */
export function statusOver(control: string): Promise<ApplianceStatus> {
  return new Promise((resolve, reject) => {
    const socket = createConnection(control);
    let text = '';
    socket.setEncoding('utf8');
    socket.on('error', reject);
    socket.on('close', () => reject(new Error('the control socket closed')));
    socket.on('data', (part: string) => {
      text += part;
      const end = text.indexOf('\n');
      if (end < 0) return;
      const answer = JSON.parse(text.slice(0, end)) as {
        result?: ApplianceStatus;
        error?: { message: string };
      };
      if (answer.result === undefined) reject(new Error(answer.error?.message ?? text));
      else resolve(answer.result);
      socket.destroy();
    });
    socket.write(`${JSON.stringify({ id: 1, method: 'status', params: {} })}\n`);
  });
}

/** Where an appliance's configuration and sockets are. */
export interface ApplianceHome {
  readonly role: 'primary' | 'backup';
  readonly folder: string;
  readonly config: string;
  readonly control: string;
}

/** An appliance in its own process, started as an operator would. */
export class Appliance {
  private constructor(
    readonly home: ApplianceHome,
    readonly program: RunningProgram,
  ) {}

  /** Starts it; resolves when `status --json` answers. Rejects, with what it said, if it ends before. */
  static async start(sandbox: Sandbox, home: ApplianceHome, options: RunOptions = {}): Promise<Appliance> {
    const program = farcopyRunning(sandbox, [home.role, '--headless', '--config', home.config], {
      cwd: home.folder,
      ...options,
    });
    const appliance = new Appliance(home, program);
    sandbox.note(
      () => `--- ${home.role} (pid ${program.pid}) said last:\n${appliance.log.slice(-25).join('\n')}`,
    );
    await until(
      `the ${home.role} is ready`,
      async () => {
        if (!program.running) {
          const { code, signal } = await program.finished;
          throw new Error(
            `the ${home.role} ended: ${code ?? signal ?? '?'}\n${program.stdout}${program.stderr}`,
          );
        }
        return statusOver(home.control).then(
          () => true,
          () => false,
        );
      },
      { seen: () => program.stderr },
    );
    return appliance;
  }

  status(): Promise<ApplianceStatus> {
    return statusOver(this.home.control);
  }

  /** What it wrote to stderr, line by line. */
  get log(): readonly string[] {
    return this.program.stderr.split('\n').filter((line) => line !== '');
  }

  /** `kill -9` of all that was started. */
  async kill(): Promise<void> {
    await this.program.kill();
  }

  /** SIGHUP: read the configuration again. */
  hangUp(): void {
    process.kill(this.program.pid, 'SIGHUP');
  }

  /** SIGTERM, as a service manager does; the exit code. */
  async stop(): Promise<number | null> {
    process.kill(this.program.pid, 'SIGTERM');
    const { code } = await this.program.finished;
    return code;
  }

  /** Memory in bytes, of the process that does the work (a launcher is not counted): now, and at its highest. */
  async memory(): Promise<{ readonly now: number; readonly peak: number }> {
    const pids = [this.program.pid, ...(await descendants(this.program.pid))];
    const sizes = await Promise.all(pids.map(memoryOf));
    return sizes.reduce((largest, size) => (size.peak > largest.peak ? size : largest));
  }
}

async function descendants(pid: number): Promise<number[]> {
  const text = await readFile(`/proc/${pid}/task/${pid}/children`, 'utf8').catch(() => '');
  const children = text.split(' ').filter(Boolean).map(Number);
  return [...children, ...(await Promise.all(children.map(descendants))).flat()];
}

async function memoryOf(pid: number): Promise<{ now: number; peak: number }> {
  const text = await readFile(`/proc/${pid}/status`, 'utf8');
  const field = (name: string): number =>
    Number(new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(text)?.[1] ?? 0) * 1024;
  return { now: field('VmRSS'), peak: field('VmHWM') };
}
