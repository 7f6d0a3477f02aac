import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import type { Context } from 'mocha';

/** Skips the test, saying what is missing, on a machine that cannot run it. */
export function requires(
  context: Context,
  needs: {
    readonly programs?: readonly string[];
    readonly devices?: readonly string[];
    readonly root?: boolean;
  },
): void {
  const missing = (needs.programs ?? []).filter(
    (program) => spawnSync('sh', ['-c', `command -v ${program}`]).status !== 0,
  );
  missing.push(...(needs.devices ?? []).filter((device) => !existsSync(device)));
  if (needs.root === true && process.getuid?.() !== 0) missing.push('root rights');
  if (missing.length === 0) return;
  console.log(`      skipped, missing: ${missing.join(', ')}`);
  context.skip();
}
