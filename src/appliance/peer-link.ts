import type { CallLink } from '../config/configuration.js';
import type { CallRecord } from './call-budget.js';
import type { PeerLink } from './outgoing-link.js';
import type { PortRegistry } from './port-registry.js';

/** A configured way to call `peer`, ready to be used. */
export function peerLink(peer: string, link: CallLink, registry: PortRegistry, calls: CallRecord): PeerLink {
  const dialer = registry.dialer(link);
  const isModem = link.type === 'modem';
  return {
    dialer,
    onDemand: isModem,
    window: isModem ? link.window : null,
    budget: isModem ? calls.budget(`${peer}: ${dialer.name}`, link.callsPerDay) : null,
    costPerMinute: isModem ? link.costPerMinute : null,
    floor: link.floor,
  };
}
