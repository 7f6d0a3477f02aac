/** What an examination has found. `hint`: what to do next, where something is to be done. */
export interface Finding {
  /** What was looked at, such as `volume ledger`. */
  readonly subject: string;
  readonly level: 'ok' | 'warning' | 'error';
  readonly text: string;
  readonly hint?: string;
}

export const ok = (subject: string, text: string): Finding => ({ subject, level: 'ok', text });

export const warning = (subject: string, text: string, hint?: string): Finding => ({
  subject,
  level: 'warning',
  text,
  ...(hint !== undefined && { hint }),
});

export const failing = (subject: string, text: string, hint?: string): Finding => ({
  subject,
  level: 'error',
  text,
  ...(hint !== undefined && { hint }),
});

/** An error as a finding, with its own hint if it has one; `names` in front of its text say nothing new. */
export function fromError(subject: string, error: unknown, ...names: readonly string[]): Finding {
  const hint =
    error instanceof Error && 'hint' in error && typeof error.hint === 'string' ? error.hint : undefined;
  const text = error instanceof Error ? error.message : String(error);
  const said = [subject, ...names].find((name) => text.startsWith(`${name}: `));
  return failing(subject, said === undefined ? text : text.slice(said.length + 2), hint);
}
