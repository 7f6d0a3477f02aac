/**
 * What a backup tells as the last opening of a copy that came on a disk and was not compared yet. No volume draws it, so
 * every primary compares such a copy before anything is built on it, also one that knows nothing of seeds.
 */
export const SEED_OPENING = '0000000000000000';
