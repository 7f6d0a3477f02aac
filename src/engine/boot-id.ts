import type { Files } from '../platform/files.js';

const PATH = '/proc/sys/kernel/random/boot_id';

/** Names the running boot of the kernel; null where that cannot be told, and then no two openings share a boot. */
export async function readBootId(files: Files): Promise<string | null> {
  try {
    return Buffer.from(await files.readWhole(PATH, 4096))
      .toString('latin1')
      .trim();
  } catch {
    return null;
  }
}
