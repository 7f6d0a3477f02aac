import { expect } from 'chai';
import { systemClock } from '../../../../src/platform/clock.js';
import { TransportError } from '../../../../src/transport/errors.js';
import { openModemPort } from '../../../../src/transport/modem/modem-port.js';
import { ModemExchange, SHORT_TIMES } from '../../../support/modem-emulator-exchange.js';
import { plugIn } from '../../../support/modem-emulator-ptys.js';
import { PtyEnd } from '../../../support/pty-pair.js';
import { requires } from '../../../support/requirements.js';
import { sandboxPerTest } from '../../../support/sandbox.js';
import { until } from '../../../support/until.js';

const SETTINGS = { baudRate: 115_200, flow: 'rtscts' as const };

describe("a modem's port on a pty", () => {
  const sandbox = sandboxPerTest();

  it('has neither DTR nor a carrier wire, and says so without failing', async function () {
    requires(this, { programs: ['socat'] });
    const modem = new ModemExchange(systemClock, SHORT_TIMES).install('100');
    const device = await plugIn(sandbox(), modem, 'modem');
    const port = await openModemPort({ ...SETTINGS, device });
    expect(await port.carrier()).to.equal(null);
    expect(await port.setDtr(false)).to.equal(false);
    await port.close();
    await port.close();
    expect(await port.setDtr(true)).to.equal(false);
  });

  it('keeps what comes while nobody reads, in order, also what is put back', async function () {
    requires(this, { programs: ['socat'] });
    const end = await PtyEnd.open(sandbox().path('line'));
    sandbox().defer('line', () => end.close());
    const port = await openModemPort({ ...SETTINGS, device: sandbox().path('line') });
    end.write(Buffer.from('def'));
    await until('it has come', async () => {
      const seen: string[] = [];
      port.read((bytes) => seen.push(Buffer.from(bytes).toString()));
      port.read(null);
      await Promise.resolve();
      port.unread(Buffer.from(seen.join('')));
      return seen.join('') === 'def';
    });
    port.unread(Buffer.from('abc'));
    const seen: string[] = [];
    port.read((bytes) => seen.push(Buffer.from(bytes).toString()));
    end.write(Buffer.from('ghi'));
    await until('all has come', () => seen.join('') === 'abcdefghi', { seen: () => seen.join('') });
    await port.close();
  });

  it('tells that the device has vanished, also who asks later, and fails to write then', async function () {
    requires(this, { programs: ['socat'] });
    const end = await PtyEnd.open(sandbox().path('line'));
    const port = await openModemPort({ ...SETTINGS, device: sandbox().path('line') });
    const gone = new Promise<Error>((resolve) => port.onGone(resolve));
    await end.close();
    expect(await gone).to.be.instanceOf(Error);
    expect(await new Promise<Error>((resolve) => port.onGone(resolve))).to.be.instanceOf(Error);
    await port.close();
    const missing = await openModemPort({ ...SETTINGS, device: sandbox().path('line') }).catch(
      (error: unknown) => error,
    );
    expect(missing).to.be.instanceOf(TransportError);
    expect((missing as TransportError).code).to.equal('no-device');
  });
});
