import { decodeMessage } from '../../../protocol/messages/codec.js';
import type { Message } from '../../../protocol/messages/message.js';
import type { Range } from '../../../protocol/ranges.js';
import type { ParcelId } from '../../../protocol/units.js';
import type { SessionLink } from '../../../src/replication/call.js';

/** A link that writes down what it is asked. */
export class NotedLink implements SessionLink {
  readonly bytesPerSecond = undefined;
  readonly lastHeardAt = null;
  readonly said: Message[] = [];
  readonly asked: string[] = [];

  sendMessage(bytes: Uint8Array): void {
    this.said.push(decodeMessage(bytes));
  }
  sendParcel(id: ParcelId): void {
    this.asked.push(`send ${id}`);
  }
  withdrawParcel(id: ParcelId): readonly Range[] {
    this.asked.push(`withdraw ${id}`);
    return [];
  }
  expectParcel(id: ParcelId): void {
    this.asked.push(`expect ${id}`);
  }
  kept(): void {
    this.asked.push('kept');
  }
  refuseParcel(id: ParcelId): void {
    this.asked.push(`refuse ${id}`);
  }
  forgetParcel(id: ParcelId): void {
    this.asked.push(`forget ${id}`);
  }
  attend(): void {
    // Nobody is probed here.
  }
  close(why: string): void {
    this.asked.push(`close ${why}`);
  }
  kinds(): string[] {
    return this.said.map(({ kind }) => kind);
  }
}
