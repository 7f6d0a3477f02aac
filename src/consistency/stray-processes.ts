import { FileError, type Files } from '../platform/files.js';

/** The variable in the environment of a command, and of all that it starts, by which they are found again. */
export const TOKEN_VARIABLE = 'FARCOPY_HOOK_ID';

const MAX_ENVIRONMENT_BYTES = 4 << 20;
const MAX_STAT_BYTES = 4096;

/** The process groups that have a process with this token in its environment (proc(5), `environ`); not our own. */
export async function groupsWithToken(files: Files, token: string): Promise<readonly number[]> {
  const groups = new Set<number>();
  const wanted = Buffer.from(`${TOKEN_VARIABLE}=${token}\0`);
  for (const name of await files.list('/proc')) {
    if (!/^\d+$/.test(name) || Number(name) === process.pid) continue;
    try {
      const environment = await files.readWhole(`/proc/${name}/environ`, MAX_ENVIRONMENT_BYTES);
      if (!Buffer.from(environment).includes(wanted)) continue;
      const stat = await readStat(files, Number(name));
      // A zombie has ended; its parent has only not looked yet.
      if (stat !== null && stat.state !== 'Z' && stat.group > 1) groups.add(stat.group);
    } catch (error) {
      // It has ended meanwhile, or is none of ours.
      if (!(error instanceof FileError)) throw error;
    }
  }
  return [...groups];
}

export interface ProcessStat {
  readonly state: string;
  readonly group: number;
  /** In ticks since the boot: tells a process from a later one of the same number. */
  readonly startedAt: string;
}

/** What proc(5) says of a process in `stat`, fields 3, 5 and 22; null: it is gone. */
export async function readStat(files: Files, pid: number): Promise<ProcessStat | null> {
  try {
    const text = Buffer.from(await files.readWhole(`/proc/${pid}/stat`, MAX_STAT_BYTES)).toString('utf8');
    // The name before it is in parentheses and may hold anything.
    const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
    const [state = '', , group = ''] = fields;
    return { state, group: Number(group), startedAt: fields[19] ?? '' };
  } catch (error) {
    if (error instanceof FileError) return null;
    throw error;
  }
}
