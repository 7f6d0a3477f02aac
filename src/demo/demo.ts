import { mkdtemp, readFile, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startBackup } from '../appliance/backup.js';
import type { Appliance, ApplianceOptions } from '../appliance/appliance.js';
import { startPrimary } from '../appliance/primary.js';
import type { BackupConfiguration, PrimaryConfiguration } from '../config/configuration.js';
import { makeKeyPair } from '../config/keys.js';
import type { SyncResult } from '../control/appliance-control.js';
import { sleep, type Clock } from '../platform/clock.js';
import type { Files } from '../platform/files.js';
import { silentLog } from '../platform/log.js';
import type { Random } from '../platform/random.js';
import { NullModem } from '../transport/null-modem.js';
import { BLOCK, ledgerBlocks } from './ledger.js';
import { NbdClient } from './nbd-client.js';
import { sizeText, Story, type StoryOutput } from './story.js';

const VOLUME_BYTES = 16 << 20;
const BAUD = 57_600;
const LEDGER_BLOCKS = 64;
/** Blocks of random content written for the second act: 32 KiB that no compressor makes smaller. */
const CHANGED_BLOCKS = 8;
const OUTAGE_MS = 2500;
/** The cable is pulled when so much of the second set has arrived. */
const CUT_AT = 0.4;

export interface DemoContext {
  readonly stdout: StoryOutput;
  readonly files: Files;
  readonly clock: Clock;
  readonly random: Random;
  readonly stop: AbortSignal;
}

/**
 * The whole job in one process: a primary and a backup with everything that real ones have, joined by a null modem of
 * 57,600 baud. Writes go through the NBD socket; what is restored at the end is compared byte for byte.
 */
export async function runDemo(context: DemoContext): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'farcopy-demo-'));
  const stage = await Stage.open(folder, context);
  try {
    await act(stage, new Story(context.stdout), context);
  } finally {
    await stage.close();
    await rm(folder, { recursive: true, force: true });
  }
}

async function act(stage: Stage, story: Story, { clock, random, stop }: DemoContext): Promise<void> {
  const started = clock.now();
  story.heading('farcopy demo: a far copy over a telephone-grade line');
  story.line(`A primary protects a volume of ${sizeText(VOLUME_BYTES)}; a backup keeps its copy.`);
  story.line(`Between them: a null modem at ${BAUD.toLocaleString('en')} baud, ${BAUD / 10} bytes a second.`);

  story.heading('1. An application writes through the NBD socket');
  const client = await NbdClient.connect(stage.socket, 'ledger');
  const ledger = ledgerBlocks(LEDGER_BLOCKS, 1998);
  await client.write(0, ledger);
  await client.flush();
  const firstState = await readFile(stage.image);
  story.line(
    `${sizeText(ledger.byteLength)} written and flushed: ${LEDGER_BLOCKS} blocks of account records.`,
  );

  story.heading('2. The first copy: the whole volume, once');
  const first = await sync(stage, story, stop);
  story.line(`${sizeText(VOLUME_BYTES)} volume, ${first.blocks} blocks that are not empty.`);
  story.line(
    `On the line: ${sizeText(first.bytesSent + first.bytesReceived)} both ways, ${first.seconds.toFixed(1)} s.`,
  );

  story.heading('3. Some blocks change; the line drops in the middle');
  for (let i = 0; i < CHANGED_BLOCKS; i++) {
    await client.write((LEDGER_BLOCKS + 7 * i) * BLOCK, random.bytes(BLOCK));
  }
  await client.flush();
  const secondState = await readFile(stage.image);
  story.line(
    `${CHANGED_BLOCKS} blocks (${sizeText(CHANGED_BLOCKS * BLOCK)}) overwritten with random content.`,
  );
  const second = await syncWithOutage(stage, story, clock, stop, async () => {
    await client.write(0, ledgerBlocks(1, 2026));
    story.line('Meanwhile the application goes on writing: that belongs to the next set.');
  });
  story.line(
    `Arrived: ${second.blocks} blocks, ${sizeText(second.bytesSent + second.bytesReceived)} both ways.`,
  );
  story.line(`On the wire when it broke, and so sent twice: ${sizeText(second.bytesRepeated)}.`);
  client.close();

  story.heading('4. Both states come back from the backup');
  await compare(stage, story, second.state, secondState, 'the newest state');
  await compare(stage, story, first.state, firstState, 'the state before it');

  const written = (LEDGER_BLOCKS + CHANGED_BLOCKS) * BLOCK;
  const sent = first.bytesSent + first.bytesReceived + second.bytesSent + second.bytesReceived;
  story.heading('Done');
  story.line(`Written by the application and copied: ${sizeText(written)}. On the line: ${sizeText(sent)}.`);
  story.line(`Time: ${((clock.now() - started) / 1000).toFixed(0)} s. Nothing is left on this machine.`);
  story.heading('Where to go next');
  story.line('npx farcopy init primary --dir primary     and the same with `backup`: configuration and keys');
  story.line('README.md, "First pair": two appliances on a null-modem cable, step by step');
}

async function sync(stage: Stage, story: Story, signal: AbortSignal): Promise<SyncResult> {
  return stage.primary.control.sync(
    { volume: 'ledger' },
    {
      signal,
      progress: ({ phase, done, total }) =>
        story.progress(
          total === null || total === 0 ? 0 : done / total,
          `${phase}, ${done} of ${total ?? '?'} blocks`,
        ),
    },
  );
}

async function syncWithOutage(
  stage: Stage,
  story: Story,
  clock: Clock,
  signal: AbortSignal,
  meanwhile: () => Promise<void>,
): Promise<SyncResult> {
  const over = new AbortController();
  const outage = async (): Promise<void> => {
    while ((await stage.fraction()) < CUT_AT) await sleep(clock, 50, over.signal);
    stage.cable.cut();
    const percent = Math.round((await stage.fraction()) * 100);
    story.line(`The cable is pulled with ${percent} % there. The backup keeps what it has.`);
    await meanwhile();
    await sleep(clock, OUTAGE_MS, over.signal);
    stage.cable.restore();
    story.line('The cable is back: the call is made again and goes on where it stopped.');
  };
  const cutting = outage().catch(() => stage.cable.restore());
  try {
    return await sync(stage, story, signal);
  } finally {
    over.abort(new Error('the sync is over'));
    await cutting;
  }
}

async function compare(
  stage: Stage,
  story: Story,
  state: string,
  expected: Uint8Array,
  what: string,
): Promise<void> {
  const to = join(stage.folder, `restored-${state.slice(0, 8)}.img`);
  const { control } = stage.backup;
  const options = { signal: new AbortController().signal, progress: () => undefined };
  await control.restore({ volume: 'branch/ledger', at: state, to, force: false }, options);
  const equal = Buffer.compare(await readFile(to), expected) === 0;
  if (!equal) throw new Error(`the restored image differs from ${what}: this is a fault in farcopy`);
  story.line(`Restored ${what} (${state.slice(0, 8)}): equal to the volume at that instant, byte for byte.`);
}

/** The two appliances, the cable and the volume. */
class Stage {
  private constructor(
    readonly folder: string,
    readonly image: string,
    readonly socket: string,
    readonly cable: NullModem,
    readonly primary: Appliance,
    readonly backup: Appliance,
  ) {}

  static async open(folder: string, { files, clock, random }: DemoContext): Promise<Stage> {
    const image = join(folder, 'ledger.img');
    const socket = join(folder, 'ledger.sock');
    await writeFile(image, '');
    await truncate(image, VOLUME_BYTES);
    const cable = new NullModem(clock, BAUD);
    const lines = { dialer: () => cable.dialer, listener: () => cable.listener };
    const options: ApplianceOptions = { log: silentLog, clock, random, files, lines };
    const sides = { primary: join(folder, 'primary'), backup: join(folder, 'backup') };
    const primaryKeys = await makeKeyPair(sides.primary, files, random);
    const backupKeys = await makeKeyPair(sides.backup, files, random);
    const backup = await startBackup(backupConfiguration(sides.backup, primaryKeys.publicKey), options);
    try {
      const configuration = primaryConfiguration(sides.primary, image, socket, backupKeys.publicKey);
      const primary = await startPrimary(configuration, options);
      return new Stage(folder, image, socket, cable, primary, backup);
    } catch (error) {
      await backup.close();
      throw error;
    }
  }

  /** How much of the travelling set has arrived; 0 while nothing is known. */
  async fraction(): Promise<number> {
    const { volumes } = await this.primary.control.status();
    return volumes[0]?.transfer?.fraction ?? 0;
  }

  async close(): Promise<void> {
    await this.primary.close();
    await this.backup.close();
  }
}

const CABLE = { type: 'serial', device: 'null modem', baudRate: BAUD } as const;

const primaryConfiguration = (
  state: string,
  device: string,
  socket: string,
  publicKey: Uint8Array,
): PrimaryConfiguration => ({
  role: 'primary',
  file: '',
  name: 'branch',
  state,
  control: join(state, 'control.sock'),
  listen: [],
  encoding: { indexBytes: 1 << 20 },
  beforeImages: { budgetBytes: 1 << 30 },
  volumes: [
    {
      name: 'ledger',
      device,
      blockSize: BLOCK,
      nbd: { kind: 'unix', path: socket },
      group: null,
      schedule: null,
      consistency: {
        quietMs: 0,
        deadlineMs: 0,
        atDeadline: 'crash',
        before: null,
        after: null,
        notice: null,
        graceMs: 0,
      },
      pending: 'newest',
      maxAgeMs: 24 * 3_600_000,
    },
  ],
  backups: [{ name: 'vault', publicKey, links: [{ ...CABLE, floor: null }] }],
});

const backupConfiguration = (state: string, publicKey: Uint8Array): BackupConfiguration => ({
  role: 'backup',
  file: '',
  name: 'vault',
  state,
  control: join(state, 'control.sock'),
  listen: [CABLE],
  store: join(state, 'store'),
  primaries: [
    { name: 'branch', publicKey, keep: null, drill: null, scrub: null, silentAfterMs: null, poll: null },
  ],
});
