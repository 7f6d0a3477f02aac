import { randomUUID } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import type { Sandbox } from './sandbox.js';

const BOOT_ID = '/proc/sys/kernel/random/boot_id';

/** A boot of the kernel that never was. */
export interface AnotherBoot {
  readonly id: string;
  /** For `RunOptions.through`: the program finds this boot's identity where the kernel tells the real one. */
  readonly through: readonly string[];
}

/**
 * In a mount namespace of its own: the identity over the kernel's, and none of the mounts that other tests have at this
 * moment, which would stay busy as long as the program runs.
 */
const SCRIPT = `
mount --bind "$1" ${BOOT_ID} || exit 1
while read -r _ at _; do
  case "$at" in
    "$2"/*) ;;
    "$3"/*) umount --lazy "$at" 2>/dev/null ;;
  esac
done < /proc/self/mounts
shift 3
exec "$@"
`;

/** Needs root and `unshare`. The program sees of the mounts in temporary space only those of this sandbox. */
export async function anotherBoot(sandbox: Sandbox): Promise<AnotherBoot> {
  const id = randomUUID();
  const file = sandbox.path(`boot-${id.slice(0, 8)}`);
  await writeFile(file, `${id}\n`);
  const mountsOf = [file, sandbox.folder, tmpdir()];
  return { id, through: ['unshare', '--mount', 'sh', '-c', SCRIPT, 'another-boot', ...mountsOf] };
}
