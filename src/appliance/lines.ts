import type { CallLink, ListenPort } from '../config/configuration.js';
import type { Clock } from '../platform/clock.js';
import type { Log } from '../platform/log.js';
import { modemDialer, modemListener, systemModems } from '../transport/modem/modem.js';
import { serialDialer, serialListener } from '../transport/serial.js';
import { tcpDialer, tcpListener } from '../transport/tcp.js';
import type { Dialer, Listener } from '../transport/transport.js';

/** Makes lines from what the configuration says of them; a parameter, so that the demo brings its own cable. */
export interface Lines {
  dialer(link: CallLink): Dialer;
  listener(port: ListenPort): Listener;
}

/** The lines of this machine. */
export function systemLines(clock: Clock, log: Log): Lines {
  const modems = systemModems((device, text) => log.debug('modem', { device, text }));
  return {
    dialer(link) {
      switch (link.type) {
        case 'serial':
          return serialDialer(link, clock);
        case 'tcp':
          return tcpDialer(link, clock);
        case 'modem':
          return modemDialer(link, clock, modems);
        default:
          return link satisfies never;
      }
    },
    listener(port) {
      switch (port.type) {
        case 'serial':
          return serialListener(port, clock);
        case 'tcp':
          return tcpListener(port, clock);
        case 'modem':
          return modemListener(port, clock, modems);
        default:
          return port satisfies never;
      }
    },
  };
}
