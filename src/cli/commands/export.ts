import { Command } from 'commander';
import { resolve } from 'node:path';
import type { ExportedState } from '../../control/appliance-control.js';
import { formatSize } from '../../config/units.js';
import { backupConfigurationOf } from '../configuration-option.js';
import type { CommandContext } from '../context.js';
import { withRestorePoints } from '../restore-points.js';

interface ExportCommandOptions {
  readonly socket: string;
  readonly at?: string;
  readonly writable?: true;
  readonly json?: true;
}

/** `farcopy export PRIMARY/VOLUME --socket PATH`: a state over NBD until interrupted. */
export function exportCommand(context: CommandContext): Command {
  return new Command('export')
    .description('serve a state over NBD until interrupted (on the backup)')
    .argument('<volume>', 'PRIMARY/VOLUME')
    .requiredOption('--socket <path>', 'Unix socket to serve on')
    .option('--at <point>', "a point's id, or a time: the newest point not after it (default: the newest)")
    .option('--writable', 'take writes too, and throw them away at the end')
    .option('--json', 'print where it is served as JSON')
    .action(async (volume: string, options: ExportCommandOptions, command: Command) => {
      const configuration = await backupConfigurationOf(command, context);
      await withRestorePoints(configuration, context, (source) =>
        source.export(
          {
            volume,
            socket: resolve(options.socket),
            writable: options.writable === true,
            ...(options.at !== undefined && { at: options.at }),
          },
          {
            signal: context.stop,
            progress: () => undefined,
            ready: (exported) =>
              context.stdout.write(
                options.json === true ? `${JSON.stringify(exported)}\n` : exportText(volume, exported),
              ),
          },
        ),
      );
    });
}

function exportText(
  volume: string,
  { socket, state, time, grade, sizeBytes, writable }: ExportedState,
): string {
  const uri = quoted(`nbd+unix:///?socket=${encodeURI(socket)}`);
  const mount = writable ? 'mount -o loop' : 'mount -o loop,ro,noload';
  return `${volume} as of ${time} (state ${state}, ${grade}), ${formatSize(sizeBytes)}, ${writable ? 'writable: what is written is thrown away at the end' : 'read-only'}
served on ${socket} until this command is interrupted (Ctrl-C)

to look at it:  nbdinfo ${uri}
to mount it:    mkdir -p state mnt
                nbdfuse ${writable ? '' : '-r '}state/disk ${uri} &
                ${mount} state/disk mnt
${writable ? '' : '                (noload: ext4 does not replay its journal; XFS calls that norecovery)\n'}to end:         umount mnt; fusermount3 -u state; then interrupt this command
`;
}

/** As one word for a shell. */
const quoted = (text: string): string => `'${text.replaceAll("'", "'\\''")}'`;
