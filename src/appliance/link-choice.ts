import type { Millis } from '../../protocol/units.js';
import type { TimeWindow } from '../config/configuration.js';

/** What a configured link is, for the choice. */
export interface LinkTraits {
  /** Each call costs: it is made only when there is work, and ended when that is done. */
  readonly onDemand: boolean;
  /** When calls may be made; null: always. */
  readonly window: TimeWindow | null;
}

/** Where a link stands. Times are of the monotonic clock. */
export type LinkPosition =
  | { readonly kind: 'down'; readonly retryAt: Millis }
  /** The port is being opened, the number dialled. */
  | { readonly kind: 'dialling' }
  /** The line is open and the handshake goes on; after `patience` ms without an answer it counts as silent. */
  | { readonly kind: 'calling'; readonly since: Millis; readonly patience: number }
  /** A session is up; `heardAt` is when the last valid frame came. */
  | { readonly kind: 'up'; readonly heardAt: Millis; readonly patience: number };

/** Everything that the choice looks at. */
export interface Situation {
  readonly now: Millis;
  /** Local time of day in minutes. */
  readonly minute: number;
  /** Something is to be sent, or awaited from the peer. */
  readonly work: boolean;
  /** Since when there is none. */
  readonly idleSince: Millis;
  /** The session of a call that the peer has made; null: none. */
  readonly calledBy: { readonly heardAt: Millis; readonly patience: number } | null;
  /** In the order of preference. */
  readonly links: readonly (LinkTraits & { readonly position: LinkPosition })[];
}

/**
 * `idle`: all is done. `window`: calls may not be made any more. `better`: an attempt has become pointless. A session that
 * a better link takes over from is not dropped here: it goes on until the new one has begun in earnest.
 */
export type DropCause = 'idle' | 'window' | 'better';

export interface Choice {
  /** The link to dial now; null: none. */
  readonly dial: number | null;
  readonly drop: readonly { readonly link: number; readonly because: DropCause }[];
  /** When the choice may come out differently although nothing has happened; null: never. */
  readonly lookAt: Millis | null;
}

/** A call on demand is kept for so long after the last work, ms: what comes right behind it costs no second call. */
export const IDLE_MS = 5000;
/** How often the time of day is looked at. */
const WINDOW_LOOK_MS = 30_000;

/**
 * Which link is to carry the session (DESIGN sections 4 and 8): the first in the configured order that works. A worse
 * one carries it meanwhile, and the better ones are tried beside it; a silent one is left when there is another, and
 * kept when there is none. Only one link is tried at a time, but one that stays silent holds up no other.
 */
export function chooseLinks(situation: Situation): Choice {
  const { now, links, calledBy } = situation;
  const carrier = links.findIndex(({ position }) => position.kind === 'up');
  const session = carrier < 0 ? calledBy : (links[carrier]?.position as LinkPosition & { kind: 'up' });
  const silentAt = session !== null && situation.work ? session.heardAt + session.patience : null;
  const forsaken = silentAt !== null && now >= silentAt;
  const drop = links.flatMap((_, index) => {
    const because = causeToDrop(situation, index, carrier, session !== null && !forsaken);
    return because === null ? [] : [{ link: index, because }];
  });
  const dropped = new Set(drop.map(({ link }) => link));
  const isTried = ({ position }: { readonly position: LinkPosition }): boolean =>
    position.kind === 'dialling' || (position.kind === 'calling' && now < position.since + position.patience);
  const mayTry = (index: number): boolean => {
    if (session === null || forsaken) return true;
    return carrier >= 0 && index < carrier;
  };
  const wanted = links.flatMap((link, index) =>
    link.position.kind === 'down' && mayTry(index) && isOpen(link, situation)
      ? [{ index, ...link.position }]
      : [],
  );
  const isHeldUp = links.some((link, index) => !dropped.has(index) && isTried(link));
  const next = isHeldUp ? undefined : wanted.find(({ retryAt }) => retryAt <= now);
  return { dial: next?.index ?? null, drop, lookAt: nextLook(situation, wanted, silentAt) };
}

function causeToDrop(
  situation: Situation,
  index: number,
  carrier: number,
  isCarried: boolean,
): DropCause | null {
  const link = situation.links[index];
  if (link === undefined || link.position.kind === 'down') return null;
  if (isCarried && link.position.kind !== 'up' && (carrier < 0 || index > carrier)) return 'better';
  if (!isInWindow(link.window, situation.minute)) return 'window';
  const isIdle = !situation.work && situation.now >= situation.idleSince + IDLE_MS;
  return link.onDemand && isIdle ? 'idle' : null;
}

const isOpen = ({ onDemand, window }: LinkTraits, { work, minute }: Situation): boolean =>
  (!onDemand || work) && isInWindow(window, minute);

/** Is this minute of the day in the window, which may run over midnight. */
export function isInWindow(window: TimeWindow | null, minute: number): boolean {
  if (window === null) return true;
  const { startMinute, endMinute } = window;
  return startMinute < endMinute
    ? minute >= startMinute && minute < endMinute
    : minute >= startMinute || minute < endMinute;
}

function nextLook(
  { now, work, idleSince, links }: Situation,
  wanted: readonly { readonly retryAt: Millis }[],
  silentAt: number | null,
): Millis | null {
  const times = [
    ...wanted.map(({ retryAt }) => retryAt),
    ...links.flatMap(({ position }) =>
      position.kind === 'calling' ? [position.since + position.patience] : [],
    ),
    ...(silentAt === null ? [] : [silentAt]),
    ...(work ? [] : [idleSince + IDLE_MS]),
    ...(links.some(({ window }) => window !== null) ? [now + WINDOW_LOOK_MS] : []),
  ].filter((time) => time > now);
  return times.length === 0 ? null : (Math.min(...times) as Millis);
}
