import { open, mkdir, writeFile } from 'node:fs/promises';
import { Appliance, farcopyJson, type ApplianceHome } from './farcopy.js';
import type { Sandbox } from './sandbox.js';

export interface FleetPrimary {
  readonly name: string;
  /** Content of each volume, by name; each is as large as its content. */
  readonly volumes: Readonly<Record<string, Uint8Array>>;
  /** YAML of a link each: how it calls the backup. */
  readonly links: readonly string[];
  /** YAML of a port each: where the backup may call it. */
  readonly listen: readonly string[];
  /** YAML of the backup's `poll`; left out: it does not poll. */
  readonly poll?: string;
}

/** Several primaries and the one backup that they share, each in its own process. */
export class Fleet {
  private constructor(
    readonly sandbox: Sandbox,
    readonly backupHome: ApplianceHome,
    readonly homes: ReadonlyMap<string, ApplianceHome>,
  ) {}

  /** Makes images, keys and configurations; starts nothing. `listen`: YAML of the backup's ports. */
  static async create(
    sandbox: Sandbox,
    listen: readonly string[],
    primaries: readonly FleetPrimary[],
  ): Promise<Fleet> {
    const backupHome = homeOf(sandbox, 'backup', 'vault');
    const backupKey = await initialise(backupHome, 'vault');
    const homes = new Map<string, ApplianceHome>();
    const entries: string[] = [];
    for (const primary of primaries) {
      const home = homeOf(sandbox, 'primary', primary.name);
      homes.set(primary.name, home);
      const key = await initialise(home, primary.name);
      for (const [volume, content] of Object.entries(primary.volumes)) {
        const file = await open(`${home.folder}/${volume}.img`, 'w');
        await file.writeFile(content);
        await file.close();
      }
      await writeFile(home.config, primaryYaml(primary, backupKey));
      const poll = primary.poll === undefined ? '' : `\n    poll: ${primary.poll}`;
      entries.push(`  - name: ${primary.name}\n    publicKey: ${key}${poll}`);
    }
    const ports = listen.length === 0 ? 'listen: []' : `listen:\n${listItems(listen, 2)}`;
    await writeFile(
      backupHome.config,
      `role: backup\nname: vault\nstate: ./state\ncontrol: ./state/control.sock\nstore: ./store\n` +
        `${ports}\nprimaries:\n${entries.join('\n')}\n`,
    );
    return new Fleet(sandbox, backupHome, homes);
  }

  start(name: string): Promise<Appliance> {
    return Appliance.start(this.sandbox, this.homeOf(name));
  }

  startBackup(): Promise<Appliance> {
    return Appliance.start(this.sandbox, this.backupHome);
  }

  homeOf(name: string): ApplianceHome {
    const home = this.homes.get(name);
    if (home === undefined) throw new Error(`no primary ${name}`);
    return home;
  }

  device(name: string, volume: string): string {
    return `${this.homeOf(name).folder}/${volume}.img`;
  }

  /** The newest state of a copy, in a new file. */
  async restore(name: string, volume: string): Promise<string> {
    const to = this.sandbox.path(`${name}-${volume}.restored`);
    const { config } = this.backupHome;
    await farcopyJson(['restore', `${name}/${volume}`, '--to', to, '--force', '--config', config]);
    return to;
  }
}

function homeOf(sandbox: Sandbox, role: 'primary' | 'backup', name: string): ApplianceHome {
  const folder = sandbox.path(name);
  return { role, folder, config: `${folder}/farcopy.yaml`, control: `${folder}/state/control.sock` };
}

async function initialise(home: ApplianceHome, name: string): Promise<string> {
  await mkdir(home.folder, { recursive: true });
  const args = ['init', home.role, '--dir', home.folder, '--name', name];
  return (await farcopyJson<{ publicKey: string }>(args)).publicKey;
}

const listItems = (items: readonly string[], indent: number): string =>
  items.map((item) => `${' '.repeat(indent)}- ${item}`).join('\n');

function primaryYaml({ name, volumes, links, listen }: FleetPrimary, backupKey: string): string {
  const entries = Object.keys(volumes).map(
    (volume) => `  - name: ${volume}
    device: ./${volume}.img
    nbd: unix:./state/${volume}.sock
    consistency: { quiet: 0s, deadline: 0s, atDeadline: crash }`,
  );
  const calls = links.length === 0 ? '    links: []' : `    links:\n${listItems(links, 6)}`;
  const ports = listen.length === 0 ? 'listen: []' : `listen:\n${listItems(listen, 2)}`;
  return `role: primary
name: ${name}
state: ./state
control: ./state/control.sock
beforeImages: { budget: 64MiB }
volumes:
${entries.join('\n')}
backups:
  - name: vault
    publicKey: ${backupKey}
${calls}
${ports}
`;
}
