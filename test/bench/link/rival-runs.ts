import { chmodSync, closeSync, constants, mkdirSync, openSync, statSync, writeFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { spawn, type ChildProcess } from 'node:child_process';
import type { Sandbox } from '../../support/sandbox.js';
import { Seeded } from '../../support/seeded.js';
import { PtyLine, type PtyLineSettings } from './pty-line.js';

/** One end of a transfer: a program, and what it is given as standard input and output. */
interface End {
  readonly program: string;
  readonly args: readonly string[];
  readonly cwd: string;
  /** The line is its standard input and output; else it opens the device by itself. */
  readonly onLine: boolean;
}

/** A program that carries files over a serial line. */
export interface Rival {
  readonly name: string;
  /** Prepares both ends of one transfer of `file` in a fresh folder; `arrived` is where it comes out. */
  readonly prepare: (folder: string, file: string, line: PtyLine) => Transfer;
}

interface Transfer {
  /** Starts last: the line is up when both have opened it, and one of them speaks first. */
  readonly last: 'receiver' | 'sender';
  readonly receiver: End;
  readonly sender: End;
  readonly arrived: string;
}

export interface RivalRun {
  /** From the first byte on the line until the whole file was there; null: it gave up, or was not done in time. */
  readonly ms: number | null;
  readonly bytesOut: number;
}

const PAYLOAD = 'payload';
/** Between the starts of the two ends. */
const APART_MS = 300;
const LOOK_MS = 10;

/** One file over a line; given up after `limitMs`. */
export async function rivalRun(
  sandbox: Sandbox,
  rival: Rival,
  name: string,
  settings: PtyLineSettings,
  payload: number,
  limitMs: number,
): Promise<RivalRun> {
  // UUCP's programs are another user's.
  chmodSync(sandbox.folder, 0o755);
  const content = new Seeded(settings.seed).bytes(payload);
  const folder = sandbox.path(name);
  mkdirSync(folder, { recursive: true });
  const file = join(folder, PAYLOAD);
  writeFileSync(file, content);
  const line = new PtyLine(sandbox, `${name}-line`, settings);
  await line.open();
  const { last, receiver, sender, arrived } = rival.prepare(folder, file, line);
  const begin = {
    receiver: () => start(sandbox, receiver, line.right),
    sender: () => start(sandbox, sender, line.left),
  };
  const ends = [begin[last === 'sender' ? 'receiver' : 'sender']()];
  await passed(APART_MS);
  ends.push(begin[last]());
  try {
    const until = performance.now() + limitMs;
    while (performance.now() < until && !isWhole(arrived, payload)) {
      if (ends.every(({ exitCode, signalCode }) => exitCode !== null || signalCode !== null)) break;
      await passed(LOOK_MS);
    }
    const end = performance.now();
    const isRight = isWhole(arrived, payload) && Buffer.compare(await readFile(arrived), content) === 0;
    return { ms: isRight ? end - (line.firstByteAt ?? end) : null, bytesOut: line.bytesOut };
  } finally {
    for (const child of ends) kill(child);
    await line.close();
  }
}

function start(sandbox: Sandbox, { program, args, cwd, onLine }: End, device: string): ChildProcess {
  const line = openSync(device, constants.O_RDWR | constants.O_NOCTTY);
  const child = spawn(program, [...args], {
    cwd,
    stdio: onLine ? [line, line, 'ignore'] : 'ignore',
    detached: true,
  });
  closeSync(line);
  // Missing: the run ends as one that gave up.
  child.on('error', () => undefined);
  const end = (): void => kill(child);
  sandbox.defer(program, end, end);
  return child;
}

/** With all that it has started. */
function kill({ pid, exitCode, signalCode }: ChildProcess): void {
  if (pid === undefined || exitCode !== null || signalCode !== null) return;
  try {
    process.kill(-pid, 'SIGKILL');
  } catch {
    // It has just ended by itself.
  }
}

function isWhole(path: string, length: number): boolean {
  return (statSync(path, { throwIfNoEntry: false })?.size ?? -1) === length;
}

const passed = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/** A folder that programs of another user may write to, too. */
function open(folder: string, ...names: readonly string[]): string {
  const path = join(folder, ...names);
  mkdirSync(path, { recursive: true });
  chmodSync(path, 0o777);
  return path;
}

function zmodem(name: string, flags: readonly string[]): Rival {
  return {
    name,
    prepare: (folder, file) => {
      const into = open(folder, 'into');
      return {
        last: 'sender',
        receiver: { program: 'rz', args: ['-b', '-q', '-y'], cwd: into, onLine: true },
        sender: { program: 'sz', args: ['-b', '-q', ...flags, file], cwd: folder, onLine: true },
        arrived: join(into, PAYLOAD),
      };
    },
  };
}

/** Taylor UUCP with two configurations of its own; the lines are their standard input and output. */
function uucp(name: string, packet: number): Rival {
  return {
    name,
    prepare: (folder, file) => {
      const into = open(folder, 'into');
      const common = (own: string, other: string): string => {
        const home = open(folder, own);
        open(home, 'spool');
        writeFileSync(
          join(home, 'sys'),
          [
            `system ${other}`,
            'time any',
            'chat ""',
            'port line',
            'protocol i',
            `protocol-parameter i packet-size ${packet}`,
            'protocol-parameter i window 16',
            'local-send / /tmp /var',
            'remote-receive / /tmp /var',
            'remote-send / /tmp /var',
            'local-receive / /tmp /var',
            '',
          ].join('\n'),
        );
        writeFileSync(join(home, 'port'), 'port line\ntype stdin\n');
        const config = join(home, 'config');
        const places = ['spool', 'pubdir', 'lockdir'].map((place) => `${place} ${join(home, 'spool')}`);
        const files = ['logfile', 'statfile', 'debugfile'].map((each) => `${each} ${join(home, each)}`);
        writeFileSync(
          config,
          [
            `nodename ${own}`,
            ...places,
            ...files,
            `sysfile ${join(home, 'sys')}`,
            `portfile ${join(home, 'port')}`,
            '',
          ].join('\n'),
        );
        return config;
      };
      const here = common('branch', 'vault');
      const there = common('vault', 'branch');
      const arrived = join(into, PAYLOAD);
      const queue = `uucp -I ${here} -r -C '${file}' 'vault!${arrived}' </dev/null >/dev/null 2>&1`;
      return {
        // The caller throws away what came before it opened its port, and the called one greets but once.
        last: 'receiver',
        receiver: { program: '/usr/sbin/uucico', args: ['-I', there], cwd: folder, onLine: true },
        sender: {
          program: '/bin/sh',
          args: ['-c', `${queue}; exec /usr/sbin/uucico -I ${here} -r1 -S vault -p line`],
          cwd: folder,
          onLine: true,
        },
        arrived,
      };
    },
  };
}

function kermit(name: string, packet: number): Rival {
  return {
    name,
    prepare: (folder, file, line) => {
      const into = open(folder, 'into');
      const script = (device: string, what: string): readonly string[] => {
        const lines = [
          'set carrier-watch off',
          `set line ${device}`,
          'set flow none',
          'set file type binary',
          'set transfer mode manual',
          'set prefixing minimal',
          'set streaming off',
          'set window 30',
          `set receive packet-length ${packet}`,
          `set send packet-length ${packet}`,
          'set block-check 3',
          what,
          'exit',
        ];
        return ['-Y', '-q', '-C', lines.join(', ')];
      };
      return {
        last: 'sender',
        receiver: { program: 'kermit', args: script(line.right, 'receive'), cwd: into, onLine: false },
        sender: { program: 'kermit', args: script(line.left, `send ${file}`), cwd: folder, onLine: false },
        arrived: join(into, PAYLOAD),
      };
    },
  };
}

/** Each with the settings that suit a long clean line and a short bad one. */
export const RIVALS: readonly Rival[] = [
  zmodem('ZMODEM, 8 KB', ['-8']),
  zmodem('ZMODEM, 1 KB', []),
  uucp('UUCP i, 1 KB', 1024),
  uucp('UUCP i, 256', 256),
  kermit('Kermit, 1 KB', 1000),
];
