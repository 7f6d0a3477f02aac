import { stat } from 'node:fs/promises';

const FREEZE = /\bfsfreeze\s+(?:-f|--freeze)\s+("[^"]+"|'[^']+'|[^\s;&|]+)/g;

/** The mount points that a command freezes, as far as its text says. */
export const frozenPlaces = (command: string): readonly string[] =>
  [...command.matchAll(FREEZE)].map(([, place = '']) => place.replace(/^["']|["']$/g, ''));

/**
 * Why the command must not be run: it would freeze the filesystem on which farcopy itself has to write, and the
 * snapshot could never be completed. Null: it does not, as far as can be told. Asked anew each time, since the
 * filesystem may have been mounted meanwhile.
 */
export async function freezeHazard(command: string, folders: readonly string[]): Promise<string | null> {
  for (const place of frozenPlaces(command)) {
    const device = await deviceOf(place);
    if (device === null) continue;
    for (const folder of folders) {
      if ((await deviceOf(folder)) === device) {
        return `it freezes ${place}, the filesystem that holds farcopy's own ${folder}; keep that elsewhere`;
      }
    }
  }
  return null;
}

const deviceOf = (path: string): Promise<number | null> =>
  stat(path).then(
    ({ dev }) => dev,
    () => null,
  );
