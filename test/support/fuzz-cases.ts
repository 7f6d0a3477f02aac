/**
 * How many hostile inputs each fuzz test tries: `FARCOPY_FUZZ_CASES`, else 20,000, or a million with `FARCOPY_SOAK=1`. A
 * test that takes it has "fuzz" in its title, and `npm run fuzz` finds it by this import.
 */
export const FUZZ_CASES = ((): number => {
  const given = process.env['FARCOPY_FUZZ_CASES'];
  if (given === undefined) return process.env['FARCOPY_SOAK'] === '1' ? 1_000_000 : 20_000;
  const cases = Number(given);
  if (!Number.isSafeInteger(cases) || cases < 1)
    throw new Error(`FARCOPY_FUZZ_CASES=${given} is no number of cases`);
  return cases;
})();

/** Time for so many cases, in milliseconds: two for each, on a machine with other work, and something to begin with. */
export const fuzzTimeout = (cases = FUZZ_CASES): number => 60_000 + 2 * cases;
