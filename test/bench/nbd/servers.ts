import { copyFileSync, existsSync, mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { RunningProgram } from '../../support/program.js';
import { until } from '../../support/until.js';
import type { BenchOptions } from '../bench-part.js';

/** A program that serves an image of its own over NBD. */
export interface Server {
  readonly name: string;
  readonly uri: string;
  readonly pid: number;
  stop(): Promise<void>;
}

export type ServerKind = 'farcopy' | 'farcopy, pinned' | 'no tracking' | 'nbdkit' | 'qemu-nbd';

/** Starts a server of a kind on a copy of `content`; a fresh one each time, in `folder`. */
export async function startServer(
  kind: ServerKind,
  content: string,
  folder: string,
  { sandbox }: BenchOptions,
): Promise<Server> {
  mkdirSync(folder, { recursive: true });
  const [image, state] = [join(folder, 'image'), join(folder, 'state')];
  const socket = sandbox.path(`${folder.replace(/^.*\//, '')}.sock`);
  if (!existsSync(image)) copyFileSync(content, image);
  // nbdkit leaves its own behind.
  rmSync(socket, { force: true });
  const serve = fileURLToPath(new URL('./serve.js', import.meta.url));
  const [program, ...args] = ((): string[] => {
    switch (kind) {
      case 'nbdkit':
        return ['nbdkit', '--foreground', '--unix', socket, 'file', image];
      case 'qemu-nbd':
        return ['qemu-nbd', '--format=raw', '--socket', socket, '--persistent', '--shared=16', image];
      case 'no tracking':
        return [process.execPath, serve, 'plain', socket, image];
      case 'farcopy':
        return [process.execPath, serve, 'volume', socket, image, state];
      case 'farcopy, pinned':
        return [process.execPath, serve, 'volume', socket, image, state, 'base:bench'];
    }
  })();
  // What the program's first file sets (src/cli/launch.cts).
  const env = { UV_THREADPOOL_SIZE: '4' };
  const running = RunningProgram.start(sandbox, program ?? '', args, { env });
  const isOurs = program === process.execPath;
  await until(
    `${kind} serves`,
    () => {
      if (!running.running) throw new Error(`${kind} ended: ${running.stderr}`);
      return isOurs ? running.stdout.includes('ready') : existsSync(socket);
    },
    { seen: () => running.stderr },
  );
  return {
    name: kind,
    uri: `nbd+unix:///?socket=${socket}`,
    pid: running.pid,
    async stop() {
      running.signal('SIGTERM');
      await running.finished;
    },
  };
}
