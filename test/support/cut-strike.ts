import type { CutFilesystem } from './cut-filesystem.js';

/** A disk on which little happens is cut all the same. */
const PATIENCE_MS = 3000;

/**
 * Cuts the power after fewer than so many operations of the disk, as often after a handful as after a hundred;
 * `alsoNow` is called in the same tick.
 */
export function strikeWithin(
  filesystem: CutFilesystem,
  operations: number,
  alsoNow: () => void,
): Promise<void> {
  return new Promise((resolve) => {
    const strike = (): void => {
      clearTimeout(patience);
      filesystem.cut();
      alsoNow();
      resolve();
    };
    const patience = setTimeout(strike, PATIENCE_MS);
    filesystem.disk.after(Math.floor(operations ** filesystem.random.fraction()) - 1, strike);
  });
}
