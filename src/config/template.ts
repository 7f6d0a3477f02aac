import type { Configuration } from './configuration.js';

/*
 * What `farcopy init` writes: the few settings that must be there, and every other one as a comment with its default
 * or an example. A line that begins with "#" and a setting becomes that setting when the "#" is removed.
 */

/** The text of a first `farcopy.yaml`; `name` is one that the schema takes. */
export function configurationTemplate(role: Configuration['role'], name: string): string {
  return role === 'primary' ? primaryTemplate(JSON.stringify(name)) : backupTemplate(JSON.stringify(name));
}

/** 32 zero bytes: no key, so that a forgotten example lets nobody in. */
const EXAMPLE_KEY = 'AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=';

const HEAD = `# Lines such as "#schedule: ..." are settings that are not in force: remove the "#" (only it) to use one.
# Paths are relative to the folder of this file. Durations: 500ms, 2s, 5m, 26h, 7d. Sizes: 512MiB, 2GiB.
`;

const primaryTemplate = (name: string): string => `# farcopy: the primary, which protects volumes.
${HEAD}
role: primary
# The name under which the backup knows this primary.
name: ${name}
# Maps of changed blocks, before-images, and the key pair. Keep it on a disk that is none of the volumes below.
state: ./state
# The socket on which the other farcopy commands reach the running appliance.
control: ./state/control.sock
# How much space before-images may take. They make what is sent smaller; writes never wait or fail for want of it.
#beforeImages: { budget: 2GiB }
# Memory in which is remembered where in the volumes which content lies, so that what was moved or copied is sent as a
# few bytes; over all volumes, 0 for none.
#encoding: { index: 64MiB }

# What is protected. At least one volume is needed: remove the "[]" and fill in name and device.
volumes: []
#  - name: ledger
#    device: ./ledger.img
# device is a raw device or an image file. From now on it is used through the address under nbd only: whatever writes
# to the device itself goes unnoticed.
#    nbd: unix:./state/ledger.sock
# nbd may be tcp://127.0.0.1:10809 too.
#    blockSize: 4096
# Snapshot and replicate at these times (cron: minute, hour, day, month, weekday).
#    schedule: "0 * * * *"
# A newer snapshot takes the place of one that is still on its way (newest), or waits until it has arrived (finish).
#    pending: newest
# A snapshot waits for quiet (nothing written for this long), until the deadline; then it is taken all the same
# (crash) or not at all (skip). Commands can make sure instead: before and after, such as fsfreeze -f /srv/ledger and
# fsfreeze -u /srv/ledger; notice, with a grace time, warns users first.
#    consistency: { quiet: 2s, deadline: 60s, atDeadline: crash }

# Where copies go.
backups: []
#  - name: vault
# The public key that "farcopy init backup" printed on the other side.
#    publicKey: ${EXAMPLE_KEY}
# Links are tried in this order.
#    links:
#      - { type: serial, device: /dev/ttyS0, baudRate: 115200 }
#      - { type: modem, device: /dev/ttyS1, baudRate: 115200, dial: "5551234" }
#      - { type: tcp, host: vault.example, port: 7400 }
# A modem may need more: init: ["AT&F", "ATE0V1&C1&D2S0=0X3"] (these commands in place of the usual ones),
# flow: none (a cable without RTS and CTS), connectTimeout: 90s.

# Ports on which a backup may call this primary.
listen: []
#  - { type: tcp, host: 127.0.0.1, port: 7401 }
`;

const backupTemplate = (name: string): string => `# farcopy: the backup, which keeps far copies.
${HEAD}
role: backup
# The name under which primaries know this backup.
name: ${name}
# The key pair, and what this appliance remembers.
state: ./state
# The socket on which the other farcopy commands reach the running appliance.
control: ./state/control.sock
# The copies and their restore points. It needs the room.
store: ./store

# Ports on which primaries call.
listen: []
#  - { type: serial, device: /dev/ttyS0, baudRate: 115200 }
#  - { type: modem, device: /dev/ttyS1, baudRate: 115200, answerAfter: 1 }
#  - { type: tcp, host: 127.0.0.1, port: 7400 }
# A modem may need more: init: ["AT&F", "ATE0V1&C1&D2S0=0"] (these commands in place of the usual ones), and
# flow: none (a cable without RTS and CTS).

# Who may keep copies here.
primaries: []
#  - name: branch-12
# The public key that "farcopy init primary" printed on the other side.
#    publicKey: ${EXAMPLE_KEY}
`;
