/**
 * What a pin's owner is called, where the engine must know what it is for: `base:<backup>` pins the state that a backup
 * holds durably, `travel:` and `next:` those on their way to it, `earlier-<n>:` one that made way for a newer state: only the
 * boundary is needed, not what blocks held at it. `suspect:` stands for a copy that is to be compared as a whole, at
 * whatever state it is by then: nothing of the pinned state is needed. `seeding:` pins a state while it is written to a disk
 * for a first copy, and needs all of it; then `seed:` pins it until that copy is confirmed, for the changes since.
 */
export const baseOwner = (backup: string): string => `base:${backup}`;
export const travelOwner = (backup: string): string => `travel:${backup}`;
export const nextOwner = (backup: string): string => `next:${backup}`;

export const earlierOwner = (backup: string, ordinal: number): string => `earlier-${ordinal}:${backup}`;
export const isEarlierOwner = (owner: string): boolean => /^earlier-\d+:/.test(owner);

export const suspectOwner = (backup: string): string => `suspect:${backup}`;

export const seedingOwner = (backup: string): string => `seeding:${backup}`;
export const seedOwner = (backup: string): string => `seed:${backup}`;

/** Does nobody read the state that this owner pins. */
export const isBoundaryOnly = (owner: string): boolean =>
  /^(?:base|suspect|seed):/.test(owner) || isEarlierOwner(owner);

const REPLICATED = /^(?:base|travel|next):(.*)$/s;

/** The backup for which a pin stands in the way of its copies; null: it stands for something else. */
export const backupOfOwner = (owner: string): string | null => REPLICATED.exec(owner)?.[1] ?? null;
