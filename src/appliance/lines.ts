import type { CallLink, ListenPort } from '../config/configuration.js';
import type { Clock } from '../platform/clock.js';
import { serialDialer, serialListener } from '../transport/serial.js';
import { tcpDialer, tcpListener } from '../transport/tcp.js';
import type { Dialer, Listener } from '../transport/transport.js';
import { ApplianceError } from './errors.js';

/** Makes lines from what the configuration says of them; a parameter, so that the demo brings its own cable. */
export interface Lines {
  dialer(link: CallLink): Dialer;
  listener(port: ListenPort): Listener;
}

/** The lines of this machine. */
export function systemLines(clock: Clock): Lines {
  return {
    dialer(link) {
      switch (link.type) {
        case 'serial':
          return serialDialer(link, clock);
        case 'tcp':
          return tcpDialer(link, clock);
        case 'modem':
          throw noModem(link.device);
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
          throw noModem(port.device);
        default:
          return port satisfies never;
      }
    },
  };
}

const noModem = (device: string): ApplianceError =>
  new ApplianceError(
    'failed',
    `${device}: modem links cannot be used yet`,
    'use `type: serial` or `type: tcp` for this link',
  );
