import type { ApplianceStatus, LinkStatus, TransferStatus, VolumeStatus } from '../appliance/status.js';
import { formatCount, formatDuration, formatSize } from '../config/units.js';
import { kindsText, setCostText } from '../control/set-cost-text.js';
import { table } from './table.js';

const EVENTS_SHOWN = 8;

/** `farcopy status` for people; `now` in ms since 1970. */
export function statusText(status: ApplianceStatus, now: number): string {
  const parts = [
    `${status.role} ${status.name}\n`,
    linkTable(status.links),
    volumeTable(status, now),
    ...lastSets(status),
  ];
  const seeds = status.volumes.flatMap(({ name, seeds: waiting = [] }) =>
    waiting.map(
      ({ peer, state }) =>
        `seed: ${name}: the first copy for ${peer} is on a disk (state ${state.id.slice(0, 8)} of ${state.time}), not confirmed yet\n`,
    ),
  );
  if (seeds.length > 0) parts.push(seeds.join(''));
  const warnings = status.volumes.flatMap((volume) =>
    volume.warnings.map((warning) => `warning: ${volume.name}: ${warning}\n`),
  );
  const silent = (status.peers ?? []).flatMap(({ name, isSilent, lastHeard }) =>
    isSilent === true ? [`warning: ${name}: ${silenceText(lastHeard, now)}\n`] : [],
  );
  if (warnings.length + silent.length > 0) parts.push([...silent, ...warnings].join(''));
  const events = status.events.slice(-EVENTS_SHOWN);
  if (events.length > 0) {
    parts.push(
      table([['LAST EVENTS', '', ''], ...events.map(({ time, level, text }) => [time, level, text])]),
    );
  }
  return parts.join('\n');
}

function silenceText(lastHeard: string | null, now: number): string {
  if (lastHeard === null) return 'was never heard of';
  return `not heard of for ${formatDuration(Math.max(0, now - Date.parse(lastHeard)))}, last at ${lastHeard}`;
}

function linkTable(links: readonly LinkStatus[]): string {
  if (links.length === 0) return 'no links are configured\n';
  const rows = links.map((link) => [
    link.name,
    link.type,
    link.peer === null ? link.state : `${link.state}: ${link.peer}`,
    formatSize(link.bytesSent),
    formatSize(link.bytesReceived),
    String(link.framesRepeated),
    String(link.framesDamaged),
    link.lastError ?? '',
  ]);
  return table(
    [['LINK', 'TYPE', 'STATE', 'SENT', 'RECEIVED', 'REPEATED', 'DAMAGED', 'LAST ERROR'], ...rows],
    [3, 4, 5, 6],
  );
}

function volumeTable(status: ApplianceStatus, now: number): string {
  if (status.volumes.length === 0) return 'no volumes yet\n';
  const rows = status.volumes.map((volume) => [
    volume.name,
    formatSize(volume.sizeBytes),
    ...(status.role === 'primary' ? [formatCount(volume.dirtyBlocks, 'block')] : []),
    lastState(volume, now),
    volume.transfer === null ? '' : transferText(volume.transfer),
  ]);
  const headings = [
    'VOLUME',
    'SIZE',
    ...(status.role === 'primary' ? ['CHANGED'] : []),
    'LAST SAFE STATE',
    'TRANSFER',
  ];
  return table([headings, ...rows], status.role === 'primary' ? [1, 2] : [1]);
}

function lastSets({ volumes }: ApplianceStatus): readonly string[] {
  const rows = volumes.flatMap(({ name, lastSet }) =>
    lastSet == null
      ? []
      : [
          [
            name,
            lastSet.peer,
            lastSet.to.time,
            String(lastSet.blocks),
            setCostText(lastSet.bytesWritten, lastSet.line),
            lastSet.line === null ? '' : kindsText(lastSet.line),
          ],
        ],
  );
  return rows.length === 0
    ? []
    : [table([['LAST SET OF', 'PEER', 'STATE', 'BLOCKS', 'COST', 'OF IT'], ...rows], [3])];
}

function lastState({ lastState: state }: VolumeStatus, now: number): string {
  if (state === null) return 'none yet';
  const age = Math.max(0, now - Date.parse(state.time));
  return `${state.time} (${formatDuration(age)} ago, ${state.grade})`;
}

export function transferText(transfer: TransferStatus): string {
  const percent = `${Math.floor(transfer.fraction * 100)} %`;
  const left = transfer.secondsLeft === null ? '' : `, ${formatDuration(transfer.secondsLeft * 1000)} left`;
  const bytes =
    transfer.bytesTotal === 0
      ? ''
      : ` ${formatSize(transfer.bytesHeld)} of ${formatSize(transfer.bytesTotal)}`;
  const next = transfer.next == null ? '' : ', a newer state waits';
  return `${transfer.phase} with ${transfer.peer}${bytes}, ${percent}${left}${next}`;
}
