import { expect } from 'chai';
import { usualRate } from '../../../src/appliance/usual-rate.js';
import { qualityFor } from '../../../src/replication/parcel-encoding.js';

describe('what is encoded before a line is up', () => {
  const modem = {
    type: 'modem',
    device: '/dev/ttyS1',
    baudRate: 115_200,
    answerAfter: 1,
    init: null,
    flow: 'rtscts',
  } as const;

  it('is pressed as the line that will carry it deserves', () => {
    expect(usualRate(modem)).to.equal(3360);
    expect(qualityFor(usualRate(modem))).to.equal(11);
    expect(qualityFor(usualRate({ type: 'tcp', host: '127.0.0.1', port: 7400 }))).to.equal(4);
    expect(usualRate({ ...modem, baudRate: 2400 })).to.equal(240);
    expect(usualRate(undefined)).to.equal(undefined);
  });
});
