import { execFile } from 'node:child_process';
import { dirname } from 'node:path';
import { promisify } from 'node:util';
import type { PrimaryConfiguration, VolumeConfiguration } from '../config/configuration.js';
import { formatSize } from '../config/units.js';
import { openDevice } from '../engine/device-check.js';
import type { Files } from '../platform/files.js';
import { checkFolder } from './files-check.js';
import { fromError, ok, warning, type Finding } from './finding.js';

const run = promisify(execFile);

/** Device, socket and commands of each volume. `isRunning`: the devices are in use, by the appliance itself. */
export async function checkVolumes(
  { volumes }: PrimaryConfiguration,
  files: Files,
  isRunning: boolean,
): Promise<readonly Finding[]> {
  const findings: Finding[] = [];
  for (const volume of volumes) {
    const subject = `volume ${volume.name}`;
    findings.push(
      isRunning
        ? ok(subject, `${volume.device}: in use by the running appliance`)
        : await checkDevice(volume, files),
    );
    if (volume.nbd.kind === 'unix') {
      const folder = dirname(volume.nbd.path);
      const place = await checkFolder(subject, folder, 0, 'the socket');
      if (place.level === 'error') findings.push(place);
    }
    findings.push(...(await checkCommands(volume)));
    if (volume.schedule === null)
      findings.push(
        ok(subject, 'it has no schedule: it is copied when `farcopy sync` is run, or when a backup calls'),
      );
  }
  return findings;
}

async function checkDevice(volume: VolumeConfiguration, files: Files): Promise<Finding> {
  const subject = `volume ${volume.name}`;
  try {
    const { file, sizeBytes } = await openDevice(files, volume.device, volume.blockSize);
    await file.close();
    return ok(subject, `${volume.device}: ${formatSize(sizeBytes)}`);
  } catch (error) {
    return fromError(subject, error);
  }
}

async function checkCommands({ name, consistency }: VolumeConfiguration): Promise<readonly Finding[]> {
  const commands = [
    ['before', consistency.before],
    ['after', consistency.after],
    ['notice', consistency.notice],
  ] as const;
  const findings: Finding[] = [];
  for (const [key, command] of commands) {
    const program = command?.trim().split(/\s+/)[0];
    if (program === undefined || /[=$"'`(){}]/.test(program)) continue;
    const isThere = await run('sh', ['-c', 'command -v -- "$1"', 'sh', program]).then(
      () => true,
      () => false,
    );
    if (!isThere)
      findings.push(
        warning(
          `volume ${name}`,
          `consistency.${key}: there is no program ${program}`,
          'install it, or name its path',
        ),
      );
  }
  return findings;
}
