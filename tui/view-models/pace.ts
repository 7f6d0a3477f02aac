import type { ApplianceStatus } from '../../src/appliance/status.js';

/** How far back rates look (ms): long enough to be calm, short enough to notice a stall. */
const WINDOW_MS = 10_000;

interface Sample {
  /** Monotonic, ms. */
  readonly at: number;
  readonly links: ReadonlyMap<string, { readonly sent: number; readonly received: number }>;
  readonly transfers: ReadonlyMap<string, number>;
}

/** Counters of the last seconds, from which speeds come. A value: `observe` makes the next one. */
export interface Pace {
  readonly samples: readonly Sample[];
}

export const NO_PACE: Pace = { samples: [] };

/** Takes the counters of one more status, heard at `at` (monotonic, ms). */
export function observe(pace: Pace, status: ApplianceStatus, at: number): Pace {
  const sample: Sample = {
    at,
    links: new Map(
      status.links.map(({ name, bytesSent, bytesReceived }) => [
        name,
        { sent: bytesSent, received: bytesReceived },
      ]),
    ),
    transfers: new Map(
      status.volumes.flatMap(({ name, transfer }) =>
        transfer === null ? [] : [[`${name} ${transfer.to.id}`, transfer.fraction] as const],
      ),
    ),
  };
  return { samples: [...pace.samples.filter((past) => at - past.at <= WINDOW_MS), sample] };
}

export interface LinkPace {
  /** Bytes a second; null while too little was seen. */
  readonly out: number | null;
  readonly in: number | null;
}

/** Both directions of a link. Counters that went backwards are those of an appliance that was started again. */
export function linkPace({ samples }: Pace, name: string): LinkPace {
  const seen = samples.flatMap(({ at, links }) => {
    const link = links.get(name);
    return link === undefined ? [] : [{ at, ...link }];
  });
  return {
    out: slope(seen.map(({ at, sent }) => ({ at, value: sent }))),
    in: slope(seen.map(({ at, received }) => ({ at, value: received }))),
  };
}

/** Seconds until a transfer is whole by its progress seen; null where that tells nothing. */
export function secondsLeft({ samples }: Pace, volume: string, state: string): number | null {
  const seen = samples.flatMap(({ at, transfers }) => {
    const value = transfers.get(`${volume} ${state}`);
    return value === undefined ? [] : [{ at, value }];
  });
  const rate = slope(seen);
  const last = seen.at(-1);
  if (rate === null || rate <= 0 || last === undefined) return null;
  return Math.max(0, (1 - last.value) / rate);
}

function slope(points: readonly { readonly at: number; readonly value: number }[]): number | null {
  const first = points[0];
  const last = points.at(-1);
  if (first === undefined || last === undefined || last.at - first.at < 500) return null;
  return last.value < first.value ? null : ((last.value - first.value) * 1000) / (last.at - first.at);
}
