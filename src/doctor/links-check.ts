import type { CallLink, Configuration, ListenPort } from '../config/configuration.js';
import type { Clock } from '../platform/clock.js';
import type { LinkStatus } from '../appliance/status.js';
import { converse } from '../transport/modem/converse.js';
import { initCommands } from '../transport/modem/hayes.js';
import { openModemPort } from '../transport/modem/modem-port.js';
import { setUp } from '../transport/modem/setting-up.js';
import { closeSerialPort, openSerialPort } from '../transport/serial.js';
import { tcpDialer } from '../transport/tcp.js';
import { failing, fromError, ok, warning, type Finding } from './finding.js';

type Port = CallLink | ListenPort;

/** Opens each port that is configured, once, and asks each modem whether it is there. Nobody is called. */
export async function checkPorts(
  configuration: Configuration,
  clock: Clock,
  signal: AbortSignal,
): Promise<readonly Finding[]> {
  const findings: Finding[] = [];
  for (const { port, isCalled } of portsOf(configuration)) {
    signal.throwIfAborted();
    findings.push(await checkPort(port, isCalled, clock, signal));
  }
  if (findings.length === 0)
    findings.push(warning('links', 'no link and no port is configured', 'add one under links or listen'));
  return findings;
}

/** The same while the appliance has the ports: what it says of them. */
export function linksOf(links: readonly LinkStatus[]): readonly Finding[] {
  return links.map(({ name, state, lastError }) =>
    state === 'failed'
      ? failing(`link ${name}`, lastError ?? 'it cannot be used')
      : ok(`link ${name}`, lastError === null ? state : `${state}; before that: ${lastError}`),
  );
}

function portsOf(
  configuration: Configuration,
): readonly { readonly port: Port; readonly isCalled: boolean }[] {
  const links =
    configuration.role === 'primary'
      ? configuration.backups.flatMap((backup) => backup.links)
      : configuration.primaries.flatMap(({ poll }) => poll?.links ?? []);
  const all = [
    ...links.map((port) => ({ port, isCalled: true })),
    ...configuration.listen.map((port) => ({ port, isCalled: false })),
  ];
  const place = (port: Port): string => (port.type === 'tcp' ? `${port.host}:${port.port}` : port.device);
  return all.filter(
    (each, index) => all.findIndex((other) => place(other.port) === place(each.port)) === index,
  );
}

async function checkPort(port: Port, isCalled: boolean, clock: Clock, signal: AbortSignal): Promise<Finding> {
  const subject = port.type === 'tcp' ? `tcp ${port.host}:${port.port}` : `${port.type} ${port.device}`;
  try {
    switch (port.type) {
      case 'serial':
        await closeSerialPort(await openSerialPort(port));
        return ok(
          subject,
          `opens at ${port.baudRate} baud; \`farcopy doctor --line ${port.device}\` tries it`,
        );
      case 'modem':
        return await checkModem(port, subject, clock, signal);
      case 'tcp':
        if (!isCalled) return ok(subject, 'calls are awaited there while the appliance runs');
        await (await tcpDialer(port, clock).dial(signal)).close();
        return ok(subject, 'somebody listens there');
      default:
        return port satisfies never;
    }
  } catch (error) {
    if (signal.aborted) throw error;
    return fromError(subject, error, port.type === 'tcp' ? '' : port.device);
  }
}

async function checkModem(
  modem: Extract<Port, { type: 'modem' }>,
  subject: string,
  clock: Clock,
  signal: AbortSignal,
): Promise<Finding> {
  const port = await openModemPort(modem);
  try {
    const { device } = modem;
    const commands = initCommands(modem.init);
    await converse((now) => setUp(now, { device, commands, failOnRing: false }), { port, clock, signal });
    const carrier = await port.carrier();
    return ok(subject, `the modem answers${carrier === null ? '; this device has no carrier wire' : ''}`);
  } finally {
    await port.close();
  }
}
