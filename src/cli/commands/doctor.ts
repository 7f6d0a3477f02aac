import { Command } from 'commander';
import { ApplianceError } from '../../appliance/errors.js';
import type { Configuration } from '../../config/configuration.js';
import { ControlClient } from '../../control/client.js';
import type { Finding } from '../../doctor/finding.js';
import type { Surgery } from '../../doctor/doctor.js';
import { configurationOf } from '../configuration-option.js';
import type { CommandContext } from '../context.js';
import { durationArgument } from '../duration-argument.js';
import { UsageError } from '../exit-code.js';
import { printable } from '../table.js';

interface DoctorOptions {
  readonly json?: true;
  readonly line?: string;
  readonly wait: number;
}

/** `farcopy doctor`: what is wrong, and what to do about it. */
export function doctorCommand(context: CommandContext): Command {
  return new Command('doctor')
    .description('check configuration, keys, devices, lines, disk space and clock; say what to do')
    .option(
      '--line <device>',
      'try what this serial line does to bytes; run it at both ends at the same time',
    )
    .option('--wait <time>', 'how long to wait for the other end of the line', durationArgument, 60_000)
    .option('--json', 'print the findings as JSON')
    .action(async (options: DoctorOptions, command: Command) => {
      const configuration = await configurationOf(command, context);
      const findings =
        options.line === undefined
          ? await examineAll(configuration, context)
          : [await tryLine(configuration, options.line, options.wait, context)];
      context.stdout.write(options.json === true ? `${JSON.stringify(findings)}\n` : textOf(findings));
      const bad = findings.filter(({ level }) => level === 'error').length;
      if (bad > 0)
        throw new ApplianceError('failed', `${bad} of ${findings.length} findings need something done`);
    });
}

async function examineAll(
  configuration: Configuration,
  { files, clock, stop }: CommandContext,
): Promise<readonly Finding[]> {
  const { examine } = await import('../../doctor/doctor.js');
  const client = await ControlClient.connect(configuration.control);
  try {
    const running: Surgery['running'] = client === null ? null : (await client.status()).links;
    return await examine(configuration, { files, clock, signal: stop, running });
  } finally {
    client?.close();
  }
}

async function tryLine(
  configuration: Configuration,
  device: string,
  waitMs: number,
  { clock, stop, stderr }: CommandContext,
): Promise<Finding> {
  const links =
    configuration.role === 'primary'
      ? configuration.backups.flatMap((backup) => backup.links)
      : configuration.primaries.flatMap(({ poll }) => poll?.links ?? []);
  const lines = [...links, ...configuration.listen].flatMap((each) => (each.type === 'serial' ? [each] : []));
  const line = lines.find((each) => each.device === device || each.device.endsWith(`/${device}`));
  if (line === undefined) {
    const known = lines.length === 0 ? 'none is configured' : lines.map((each) => each.device).join(', ');
    throw new UsageError(`${device} is no serial line of this configuration`, `serial lines: ${known}`);
  }
  const client = await ControlClient.connect(configuration.control);
  if (client !== null) {
    client.close();
    throw new ApplianceError(
      'failed',
      'the appliance is running and has the line',
      'stop it for the test, at both ends',
    );
  }
  stderr.write(`Waiting for \`farcopy doctor --line\` at the other end of ${line.device} …\n`);
  const { testLine } = await import('../../doctor/line-test.js');
  return testLine(line, waitMs, clock, stop);
}

const MARKS: Readonly<Record<Finding['level'], string>> = {
  ok: 'ok     ',
  warning: 'WARNING',
  error: 'ERROR  ',
};

function textOf(findings: readonly Finding[]): string {
  return findings
    .map(({ level, subject, text, hint }) => {
      const advice = hint === undefined ? '' : `\n         → ${printable(hint)}`;
      return `${MARKS[level]}  ${printable(subject)}: ${printable(text)}${advice}\n`;
    })
    .join('');
}
