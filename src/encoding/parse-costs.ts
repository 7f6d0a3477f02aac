import type { ParseCosts } from './parse.js';

/** For lines on which a byte is slow. */
export const THOROUGH: ParseCosts = {
  literal: 0.7,
  own: 1.2,
  recent: 1.5,
  anywhere: 6,
  depth: 16,
  patience: Infinity,
};
/** For fast ones. */
export const QUICK: ParseCosts = { ...THOROUGH, depth: 2, patience: 64 };
/** To see what is not explained by some references, and which of them explain anything. */
export const SCOUTING: ParseCosts = { ...THOROUGH, depth: 0, patience: 32 };
