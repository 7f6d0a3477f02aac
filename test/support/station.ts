import type { LinkEvent } from '../../protocol/link/link-event.js';
import type { Link } from '../../protocol/link/link.js';
import { millis, type Millis, type ParcelId } from '../../protocol/units.js';

/** A link and the layer above it: keeps what comes, after `keepDelay` ms. */
export class Station {
  readonly events: LinkEvent[] = [];
  readonly messages: Uint8Array[] = [];
  readonly received = new Map<ParcelId, Uint8Array>();
  readonly kept: { readonly at: Millis; readonly run: () => void }[] = [];
  /** Of the link and those it replaced. */
  link: Link;
  keepDelay = 0;
  /** Called with every event before the station acts on it. */
  onEvent: (event: LinkEvent) => void = () => undefined;

  constructor(link: Link) {
    this.link = link;
  }

  /** Wants a parcel: makes room for it and expects it. */
  expect(
    id: ParcelId,
    length: number,
    held: readonly { readonly start: number; readonly end: number }[] = [],
  ): void {
    if (!this.received.has(id)) this.received.set(id, new Uint8Array(length));
    this.link.expectParcel(id, length, held);
  }

  of<Kind extends LinkEvent['kind']>(kind: Kind): (LinkEvent & { readonly kind: Kind })[] {
    return this.events.filter((event) => event.kind === kind) as (LinkEvent & { readonly kind: Kind })[];
  }

  drain(now: Millis): void {
    for (let event = this.link.pollEvent(); event !== undefined; event = this.link.pollEvent()) {
      this.onEvent(event);
      this.events.push(event.kind === 'segment' ? { ...event, bytes: new Uint8Array() } : event);
      if (event.kind === 'message') this.messages.push(event.bytes);
      if (event.kind === 'replaced') this.link = event.successor;
      if (event.kind === 'segment') this.#store(now, event);
    }
    while (this.kept[0] !== undefined && this.kept[0].at <= now) this.kept.shift()?.run();
  }

  #store(now: Millis, { parcel, offset, bytes }: LinkEvent & { readonly kind: 'segment' }): void {
    this.received.get(parcel)?.set(bytes, offset);
    const { link } = this;
    const run = (): void => {
      link.kept(parcel, offset, offset + bytes.length);
    };
    this.kept.push({ at: millis(now + this.keepDelay), run });
  }
}
