/**
 * The backup of the TCP bench, a process of its own: store, session, link and listener are the product's.
 * `node target-end.js FOLDER PORT`; says `{up}`, is asked `watch` and `told`, and answers with a `ProcessUse`.
 */
import { generateKeyPair } from '../../../../protocol/handshake/keys.js';
import { Link } from '../../../../protocol/link/link.js';
import { lineCrc } from '../../../../src/appliance/link-crc.js';
import { systemClock } from '../../../../src/platform/clock.js';
import { silentLog } from '../../../../src/platform/log.js';
import { nodeFiles } from '../../../../src/platform/node-files.js';
import { systemRandom } from '../../../../src/platform/random.js';
import { Call } from '../../../../src/replication/call.js';
import { TargetSession } from '../../../../src/replication/target-session.js';
import { Store } from '../../../../src/store/store.js';
import { tcpListener } from '../../../../src/transport/tcp.js';
import { ProcessWatch } from './process-use.js';
import { keyBytes, PRIMARY } from './the-set.js';

const [folder = '', port = ''] = process.argv.slice(2);
const store = await Store.open({ folder, files: nodeFiles, clock: systemClock, random: systemRandom });
const stop = new AbortController();
let watch: ProcessWatch | null = null;

process.on('message', (question) => {
  if (question === 'watch') watch = new ProcessWatch();
  if (question === 'told') process.send?.({ use: watch?.end() });
  if (question === 'end') stop.abort();
});

await tcpListener({ host: '127.0.0.1', port: Number(port) }, systemClock).listen(
  async (transport) => {
    const link = new Link({
      initiator: false,
      role: 'backup',
      keys: generateKeyPair(keyBytes(2)),
      acceptPeer: () => true,
      answer: () => new Uint8Array(),
      randomBytes: (count) => systemRandom.bytes(count),
      crc32: lineCrc,
    });
    const call = new Call({
      transport,
      link,
      clock: systemClock,
      onSession: (session) => {
        const target = new TargetSession({
          link: session,
          store: { volume: (name) => store.volume(PRIMARY, name) },
          log: silentLog,
          onApplied: (volume, point) => target.sayApplied(volume, point.state.id),
          onTrouble: (_, text) => process.send?.({ trouble: text }),
        });
        return target;
      },
    });
    await call.ended;
  },
  (error) => process.send?.(error === null ? { up: true } : { trouble: error.message }),
  stop.signal,
);
await store.close();
process.disconnect();
