/** Parameters for fast-check: the seed is printed, and `SEED=…` runs it again. */
export function seeded(numRuns = 200): { seed: number; numRuns: number } {
  const seed =
    process.env['SEED'] === undefined ? Math.trunc(Math.random() * 2 ** 31) : Number(process.env['SEED']);
  console.log(`      SEED=${seed}`);
  return { seed, numRuns };
}
