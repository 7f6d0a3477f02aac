import { randomUUID } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import type { Sandbox } from './sandbox.js';

const BOOT_ID = '/proc/sys/kernel/random/boot_id';

/** A boot of the kernel that never was. */
export interface AnotherBoot {
  readonly id: string;
  /** For `RunOptions.through`: the program finds this boot's identity where the kernel tells the real one. */
  readonly through: readonly string[];
}

/** Needs root and `unshare`: the identity is mounted over the kernel's, for that one program. */
export async function anotherBoot(sandbox: Sandbox): Promise<AnotherBoot> {
  const id = randomUUID();
  const file = sandbox.path(`boot-${id.slice(0, 8)}`);
  await writeFile(file, `${id}\n`);
  const script = `mount --bind "$0" ${BOOT_ID} && exec "$@"`;
  return { id, through: ['unshare', '--mount', 'sh', '-c', script, file] };
}
