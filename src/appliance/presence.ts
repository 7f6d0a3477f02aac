import type { Clock } from '../platform/clock.js';
import type { PeerStatus } from './status.js';

/** Which peers are on a line now, and when the others last were. */
export class Presence {
  readonly #clock: Clock;
  /** Names of the links that carry sessions, the newest last, and when the last one ended (ms since 1970). */
  readonly #peers = new Map<string, { readonly links: string[]; endedAt: number | null }>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** A session of `peer` is up; the returned function says that it has ended. */
  begin(peer: string, link: string): () => void {
    const seen = this.#peers.get(peer) ?? { links: [], endedAt: null };
    this.#peers.set(peer, seen);
    seen.links.push(link);
    return () => {
      const at = seen.links.lastIndexOf(link);
      if (at >= 0) seen.links.splice(at, 1);
      seen.endedAt = this.#clock.wall();
    };
  }

  statusOf(name: string): PeerStatus {
    const { links = [], endedAt = null } = this.#peers.get(name) ?? {};
    const link = links.at(-1) ?? null;
    const heard = link === null ? endedAt : this.#clock.wall();
    return { name, link, lastHeard: heard === null ? null : new Date(heard).toISOString() };
  }
}
