import { setTimeout as pause } from 'node:timers/promises';

export interface UntilOptions {
  /** How long to go on asking before the test fails. */
  readonly timeoutMs?: number;
  readonly everyMs?: number;
  /** Called on giving up, for the error's text. */
  readonly seen?: () => string;
}

/** Asks again and again until the answer is something other than `undefined` or `false`, and gives that answer. */
export async function until<T>(
  what: string,
  ask: () => Promise<T | undefined | false> | T | undefined | false,
  options: UntilOptions = {},
): Promise<T> {
  const deadline = performance.now() + (options.timeoutMs ?? 20_000);
  for (;;) {
    const answer = await ask();
    if (answer !== undefined && answer !== false) return answer;
    if (performance.now() > deadline)
      throw new Error(`waited in vain until ${what}. ${options.seen?.() ?? ''}`);
    await pause(options.everyMs ?? 20);
  }
}
