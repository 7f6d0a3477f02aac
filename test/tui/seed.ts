/** Parameters for fast-check: a seed that is printed, and taken from `SEED=` where that is given. */
export function seedOf(test: string): { readonly seed: number } {
  const seed = Number(process.env['SEED'] ?? Date.now() % 2 ** 31);
  console.log(`      ${test}: SEED=${seed}`);
  return { seed };
}
