import { expect } from 'chai';
import { copyFile, mkdir, symlink, truncate, writeFile } from 'node:fs/promises';
import { checkExt4, LoopedExport, makeExt4, manifest, Mount } from './ext4.js';
import { RunningProgram } from './program.js';
import { requires } from './requirements.js';
import { sandboxPerTest } from './sandbox.js';
import { until } from './until.js';
import { NbdClient } from './nbd-client.js';

describe('ext4 on an NBD export, with nbdkit', function () {
  this.timeout(60_000);
  const sandbox = sandboxPerTest();

  it('is made, mounted, frozen and copied; the copy is clean and holds every file', async function () {
    requires(this, { programs: ['nbdkit', 'nbdfuse', 'losetup', 'mkfs.ext4', 'fsfreeze'], root: true });
    const image = sandbox().path('image');
    const socket = sandbox().path('sock');
    await writeFile(image, '');
    await truncate(image, 16 << 20);
    RunningProgram.start(sandbox(), 'nbdkit', ['-f', '-U', socket, 'file', image]);
    await until('nbdkit listens', () =>
      NbdClient.connect(socket).then(
        (client) => {
          client.close();
          return true;
        },
        () => false,
      ),
    );
    const exported = await LoopedExport.attach(sandbox(), 'live', socket, '');
    await makeExt4(exported.device);
    const live = await Mount.mount(sandbox(), 'mnt', exported.device);
    await mkdir(`${live.folder}/folder`);
    await writeFile(`${live.folder}/folder/file`, 'content');
    await symlink('folder/file', `${live.folder}/link`);
    await live.freeze();
    const copy = sandbox().path('copy');
    await copyFile(image, copy);
    await live.thaw();
    await writeFile(`${live.folder}/folder/file`, 'CONTENT');
    const { clean, report } = await checkExt4(copy);
    expect(clean, report).to.equal(true);

    const copied = await Mount.mount(sandbox(), 'copied', copy, ['ro']);
    const before = await manifest(copied.folder);
    const now = await manifest(live.folder);
    expect([...before.keys()]).to.deep.equal(['folder', 'folder/file', 'link', 'lost+found']);
    expect([...now.keys()]).to.deep.equal([...before.keys()]);
    expect(now.get('folder/file')).not.to.equal(before.get('folder/file'));

    await live.unmount();
    await exported.detach();
  });
});
