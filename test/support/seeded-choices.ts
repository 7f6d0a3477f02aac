import type { Seeded } from './seeded.js';

export const chance = (seeded: Seeded, probability: number): boolean => seeded.fraction() < probability;

export const pick = <T>(seeded: Seeded, items: readonly T[]): T => items[seeded.below(items.length)] as T;

export function shuffle<T>(seeded: Seeded, items: readonly T[]): T[] {
  const shuffled = [...items];
  for (let i = shuffled.length - 1; i > 0; i--) {
    const j = seeded.below(i + 1);
    [shuffled[i], shuffled[j]] = [shuffled[j] as T, shuffled[i] as T];
  }
  return shuffled;
}
