import { createInterface } from 'node:readline';
import { systemClock } from '../../src/platform/clock.js';
import { ModemExchange, REAL_TIMES, SHORT_TIMES } from './modem-emulator-exchange.js';
import { plugIn } from './modem-emulator-ptys.js';
import type { EmulatedModem } from './modem-emulator.js';
import { Sandbox } from './sandbox.js';

/*
 * A telephone exchange for the shell: `node dist/test/support/modem-exchange.js [--short] [--speed 9600] [NUMBER …]`
 * prints a device for each number; talk to one with `socat - FILE:DEVICE,raw,echo=0,crnl` or farcopy. Then it takes
 * the commands below. `--short`: rings and training take a fraction of a second.
 */

const HELP = `drop                 every call loses its carrier
off NUMBER | on NUMBER   the modem is switched off, on again
cord NUMBER          its telephone cord is pulled, or put back
engage NUMBER        somebody else is on its line, or hangs up
calls                what is going on
quit`;

const args = process.argv.slice(2);
const speedAt = args.indexOf('--speed');
const bitsPerSecond = speedAt < 0 ? 9600 : Number(args[speedAt + 1]);
const given = args.filter((each, at) => !each.startsWith('--') && (speedAt < 0 || at !== speedAt + 1));
const numbers = given.length > 0 ? given : ['100', '200'];

const sandbox = Sandbox.create();
const exchange = new ModemExchange(systemClock, args.includes('--short') ? SHORT_TIMES : REAL_TIMES);
const modems = new Map<string, EmulatedModem>();
for (const number of numbers) {
  const modem = exchange.install(number, { bitsPerSecond });
  modems.set(number, modem);
  console.log(`${number} ${await plugIn(sandbox, modem, number)}`);
}
exchange.onLog((line) => console.log(line));
console.log(HELP);

const obey = (word: string, number: string): void => {
  const modem = modems.get(number);
  if (word === 'drop') exchange.dropCarriers();
  else if (word === 'calls') {
    for (const { caller, callee, up } of exchange.calls) {
      console.log(`${caller.number} to ${callee.number}: ${up ? 'up' : 'not up'}`);
    }
  } else if (modem === undefined) console.log(HELP);
  else if (word === 'off') {
    modem.reset();
    modem.faults.off = true;
  } else if (word === 'on') modem.faults.off = false;
  else if (word === 'cord') modem.faults.noDialtone = !modem.faults.noDialtone;
  else if (word === 'engage') modem.faults.engaged = !modem.faults.engaged;
  else console.log(HELP);
};

const leave = (): void => {
  void sandbox.close().then(() => process.exit(0));
};
createInterface(process.stdin).on('line', (line) => {
  const [word = '', number = ''] = line.trim().split(/\s+/);
  if (word === 'quit') leave();
  else if (word !== '') obey(word, number);
});
process.on('SIGINT', leave);
process.on('SIGTERM', leave);
// The clock's timers keep no process alive, and standard input may be closed: this does.
setInterval(() => undefined, 60_000);
