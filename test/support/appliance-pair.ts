import { open, mkdir, readFile, writeFile } from 'node:fs/promises';
import type { PointSummary, SyncResult } from '../../src/control/appliance-control.js';
import type { TransferStatus, VolumeStatus } from '../../src/appliance/status.js';
import { Appliance, farcopyJson, farcopyRunning, type ApplianceHome } from './farcopy.js';
import type { Line } from './line.js';
import { PtyPair } from './pty-pair.js';
import type { RunningProgram, RunOptions } from './program.js';
import type { Sandbox } from './sandbox.js';
import { TcpRelay } from './tcp-relay.js';
import { until } from './until.js';

/** A line, and how each side's configuration names its end. */
export interface LaidLine {
  readonly line: Line;
  readonly left: string;
  readonly right: string;
}

export interface PairOptions {
  readonly volume?: string;
  readonly sizeBytes: number;
  readonly baudRate?: number;
  /** A pty pair unless told otherwise. */
  readonly line?: 'serial' | 'tcp' | LaidLine;
  /** The volume's first content; else it is sparse. */
  readonly content?: Uint8Array;
  /** The volume's `consistency` and, on further lines, `schedule`, as YAML; a snapshot at once unless told otherwise. */
  readonly volumeSettings?: readonly string[];
}

/**
 * A primary with one volume and its backup, two processes on one serial line, with configurations written as the
 * README tells an operator to: `init` on both sides, keys exchanged.
 */
export class AppliancePair {
  #primary: Appliance | undefined;
  #backup: Appliance | undefined;

  private constructor(
    readonly sandbox: Sandbox,
    readonly line: Line,
    readonly volume: string,
    readonly primaryHome: ApplianceHome,
    readonly backupHome: ApplianceHome,
  ) {}

  /** Makes line, device, keys and configurations; starts nothing. */
  static async create(sandbox: Sandbox, options: PairOptions): Promise<AppliancePair> {
    const volume = options.volume ?? 'ledger';
    const baudRate = options.baudRate ?? 4_000_000;
    const { line, left, right } = await layLine(sandbox, options.line ?? 'serial', baudRate);
    const primary = homeOf(sandbox, 'primary');
    const backup = homeOf(sandbox, 'backup');
    const primaryKey = await initialise(primary, 'branch');
    const backupKey = await initialise(backup, 'vault');
    await writeImage(`${primary.folder}/${volume}.img`, options);
    await writeFile(primary.config, primaryYaml(volume, backupKey, left, options.volumeSettings));
    await writeFile(backup.config, backupYaml(primaryKey, right));
    return new AppliancePair(sandbox, line, volume, primary, backup);
  }

  /** The same, with both appliances running. */
  static async start(sandbox: Sandbox, options: PairOptions): Promise<AppliancePair> {
    const pair = await AppliancePair.create(sandbox, options);
    await Promise.all([pair.startPrimary(), pair.startBackup()]);
    return pair;
  }

  get primary(): Appliance {
    if (this.#primary === undefined) throw new Error('the primary was not started');
    return this.#primary;
  }
  get backup(): Appliance {
    if (this.#backup === undefined) throw new Error('the backup was not started');
    return this.#backup;
  }
  /** The image file that the volume protects. */
  get device(): string {
    return `${this.primaryHome.folder}/${this.volume}.img`;
  }
  get nbdSocket(): string {
    return `${this.primaryHome.folder}/state/${this.volume}.sock`;
  }
  /** As the backup calls it. */
  get copyName(): string {
    return `branch/${this.volume}`;
  }

  async startPrimary(options: RunOptions = {}): Promise<void> {
    this.#primary = await Appliance.start(this.sandbox, this.primaryHome, options);
  }
  async startBackup(options: RunOptions = {}): Promise<void> {
    this.#backup = await Appliance.start(this.sandbox, this.backupHome, options);
  }

  /** Edits the primary's configuration, for its next start. */
  configurePrimary(change: (text: string) => string): Promise<void> {
    return edit(this.primaryHome.config, change);
  }
  /** Edits a file of the primary's state folder while it is stopped. */
  editState(name: string, change: (text: string) => string): Promise<void> {
    return edit(`${this.primaryHome.folder}/state/${name}`, change);
  }

  /** `farcopy sync` to its end. */
  sync(timeoutMs = 120_000): Promise<SyncResult> {
    return farcopyJson<SyncResult>(['sync', this.volume, '--config', this.primaryHome.config], { timeoutMs });
  }

  /** `farcopy sync` in the background. */
  startSync(more: readonly string[] = []): RunningSync {
    const args = ['sync', this.volume, ...more, '--json', '--config', this.primaryHome.config];
    return new RunningSync(farcopyRunning(this.sandbox, args));
  }

  points(): Promise<readonly PointSummary[]> {
    return farcopyJson<readonly PointSummary[]>([
      'points',
      this.copyName,
      '--config',
      this.backupHome.config,
    ]);
  }

  /** `farcopy restore` of a point (the newest), to a new file in the sandbox. */
  async restore(name: string, at?: string): Promise<string> {
    const to = this.sandbox.path(name);
    const which = at === undefined ? [] : ['--at', at];
    await farcopyJson(['restore', this.copyName, ...which, '--to', to, '--config', this.backupHome.config]);
    return to;
  }

  /** The transfer under way on the primary; the snapshot is taken once there is one past that phase. */
  async transfer(): Promise<TransferStatus | null> {
    const status = await this.primary.status();
    return status.volumes.find(({ name }) => name === this.volume)?.transfer ?? null;
  }

  /** Waits until the backup's image is this state. */
  async applied(state: string, timeoutMs = 60_000): Promise<void> {
    const copy = async (): Promise<VolumeStatus | undefined> =>
      (await this.backup.status()).volumes.find(({ name }) => name === this.copyName);
    await until(`the backup has applied ${state}`, async () => (await copy())?.lastState?.id === state, {
      timeoutMs,
    });
  }

  /** Waits until the snapshot of the running sync is taken. */
  snapshotTaken(): Promise<TransferStatus> {
    return until('the snapshot is taken', async () => {
      const transfer = await this.transfer();
      return transfer !== null && transfer.phase !== 'snapshot' && transfer;
    });
  }
}

/** A `farcopy sync` that has not ended. */
export class RunningSync {
  constructor(readonly program: RunningProgram) {}

  /** Its result; rejects if it failed. */
  async result(): Promise<SyncResult> {
    const { code, signal, stdout, stderr } = await this.program.finished;
    if (code !== 0) throw new Error(`sync: exit ${code ?? signal ?? '?'}\n${stdout}\n${stderr}`);
    return JSON.parse(stdout) as SyncResult;
  }
}

async function edit(path: string, change: (text: string) => string): Promise<void> {
  await writeFile(path, change(await readFile(path, 'utf8')));
}

function homeOf(sandbox: Sandbox, role: 'primary' | 'backup'): ApplianceHome {
  const folder = sandbox.path(role);
  return { role, folder, config: `${folder}/farcopy.yaml`, control: `${folder}/state/control.sock` };
}

/** `farcopy init`; the public key. */
async function initialise(home: ApplianceHome, name: string): Promise<string> {
  await mkdir(home.folder, { recursive: true });
  const { publicKey } = await farcopyJson<{ publicKey: string }>([
    'init',
    home.role,
    '--dir',
    home.folder,
    '--name',
    name,
  ]);
  return publicKey;
}

async function writeImage(path: string, { sizeBytes, content }: PairOptions): Promise<void> {
  const file = await open(path, 'w');
  try {
    if (content !== undefined) await file.writeFile(content);
    await file.truncate(sizeBytes);
  } finally {
    await file.close();
  }
}

async function layLine(
  sandbox: Sandbox,
  type: 'serial' | 'tcp' | LaidLine,
  baudRate: number,
): Promise<LaidLine> {
  if (typeof type === 'object') return type;
  if (type === 'tcp') {
    const line = await TcpRelay.open(sandbox);
    const end = (port: number): string => `{ type: tcp, host: 127.0.0.1, port: ${port} }`;
    return { line, left: end(line.port), right: end(line.target) };
  }
  const line = await PtyPair.open(sandbox);
  const end = (device: string): string => `{ type: serial, device: ${device}, baudRate: ${baudRate} }`;
  return { line, left: end(line.left), right: end(line.right) };
}

/** A busy volume is never quiet: these tests ask for the snapshot at once. */
const AT_ONCE = ['consistency: { quiet: 0s, deadline: 0s, atDeadline: crash }'];

const primaryYaml = (
  volume: string,
  backupKey: string,
  link: string,
  volumeSettings: readonly string[] = AT_ONCE,
): string => `role: primary
name: branch
state: ./state
control: ./state/control.sock
beforeImages: { budget: 1GiB }
volumes:
  - name: ${volume}
    device: ./${volume}.img
    blockSize: 4096
    nbd: unix:./state/${volume}.sock
${volumeSettings.map((setting) => `    ${setting}`).join('\n')}
backups:
  - name: vault
    publicKey: ${backupKey}
    links:
      - ${link}
`;

const backupYaml = (primaryKey: string, port: string): string => `role: backup
name: vault
state: ./state
control: ./state/control.sock
store: ./store
listen:
  - ${port}
primaries:
  - name: branch
    publicKey: ${primaryKey}
`;
