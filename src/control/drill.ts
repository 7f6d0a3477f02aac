import { statfs } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { ApplianceError } from '../appliance/errors.js';
import { formatSize } from '../config/units.js';
import { runHook } from '../consistency/hook.js';
import type { Clock } from '../platform/clock.js';
import type { Files } from '../platform/files.js';
import { restoreState } from '../store/restore.js';
import type { StateReader } from '../store/volume-store.js';
import type { OperationOptions } from './appliance-control.js';
import type { DrillRecord } from './drill-records.js';

export interface DrillOptions extends OperationOptions {
  readonly files: Files;
  readonly clock: Clock;
  /** Where the state is written to for the time of the drill. */
  readonly folder: string;
  readonly command: string;
  readonly timeoutMs: number;
  /** On top of `DEVICE`. */
  readonly environment: Readonly<Record<string, string>>;
}

/** Files of this name in the folder are left-overs of a drill that was killed. */
const PREFIX = 'drill-';
/** What a drill leaves free on the disk, bytes: the appliance lives there too. */
const SPARE = 256 << 20;

/**
 * Restores a state to a throw-away file and runs a command on it, as `$DEVICE`, that says by its exit code whether the
 * state is of use. What it finds, a refusal to restore too, is the result; fails with `ApplianceError` `failed` where there
 * is no room for the file, or with the signal's reason. One at a time in a folder.
 */
export async function drillState(reader: StateReader, options: DrillOptions): Promise<DrillRecord> {
  const { files, clock, folder, command, timeoutMs, environment, signal, progress } = options;
  const started = clock.now();
  await files.makeFolder(folder);
  for (const name of await files.list(folder))
    if (name.startsWith(PREFIX)) await files.remove(join(folder, name));
  await requireRoom(reader, folder);
  const device = join(folder, `${PREFIX}${reader.state.id}.img`);
  const ended = (trouble: string | null): DrillRecord => ({
    time: new Date(clock.wall()).toISOString(),
    passed: trouble === null,
    trouble,
    seconds: Math.round(clock.now() - started) / 1000,
  });
  try {
    const failure = await restoreState(reader, device, {
      files,
      force: false,
      signal,
      progress: ({ done, total }) => progress({ phase: 'restoring', done, total, unit: 'bytes' }),
    }).then(
      () => null,
      (error: unknown) => error as Error,
    );
    signal.throwIfAborted();
    if (failure !== null) return ended(`it cannot be restored: ${failure.message}`);
    const { trouble } = await runHook({
      command,
      timeoutMs,
      cwd: dirname(device),
      environment: { ...environment, DEVICE: device },
      clock,
      signal,
    });
    signal.throwIfAborted();
    return ended(trouble);
  } finally {
    await files.remove(device);
  }
}

async function requireRoom(reader: StateReader, folder: string): Promise<void> {
  let wanted = SPARE;
  for (let at = 0; ;) {
    const data = await reader.nextData(at);
    if (data === null) break;
    wanted += data.end - data.start;
    at = data.end;
  }
  const { bavail, bsize } = await statfs(folder);
  if (bavail * bsize >= wanted) return;
  throw new ApplianceError(
    'failed',
    `a drill needs ${formatSize(wanted)} in ${folder}, ${formatSize(bavail * bsize)} are free`,
    'make room there, or restore the point elsewhere and check it by hand',
  );
}
