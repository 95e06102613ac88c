// A small volume of its own for a database, that can be filled to the last byte: a tmpfs, for which root is needed, or sudo without
// a password.
import { chmodSync, closeSync, fsyncSync, mkdtempSync, openSync, rmSync, rmdirSync, statfsSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { asRoot } from './network.mjs';

export class Volume {
  static make(t, megabytes) {
    const volume = new Volume();
    volume.path = mkdtempSync(join(tmpdir(), 'esink-volume-'));
    t.defer(() => rmdirSync(volume.path));
    try {
      asRoot('mount', '-t', 'tmpfs', '-o', `size=${megabytes}m,mode=1777`, 'esink-faults', volume.path);
    } catch (error) {
      volume.missing = `no volume can be mounted here: ${String(error.stderr ?? error.message).trim().split('\n')[0]}`;
      return volume;
    }
    t.defer(() => {
      volume.empty();
      asRoot('umount', volume.path);
    });
    chmodSync(volume.path, 0o1777);
    return volume;
  }

  get filler() {
    return join(this.path, 'filler');
  }

  get free() {
    const { bavail, bsize } = statfsSync(this.path);
    return bavail * bsize;
  }

  // All of it, but `left` bytes.
  fill(left = 0) {
    const file = openSync(this.filler, 'a');
    try {
      const block = Buffer.alloc(1 << 16, 'f');
      while (this.free > left) if (!writeSync(file, block, 0, Math.min(block.length, Math.max(4096, this.free - left)))) break;
      fsyncSync(file);
    } catch (error) {
      if (error.code !== 'ENOSPC') throw error;
    } finally {
      closeSync(file);
    }
  }

  empty() {
    rmSync(this.filler, { force: true });
  }
}
