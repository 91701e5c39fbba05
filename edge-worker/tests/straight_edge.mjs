// The built Worker in a workerd that is reached straight. The other ways to run it put a proxy in front, which takes
// whatever a hub sends, so that no reader is ever slow there. It cannot be evicted.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { join } from 'node:path';
import { LINK_KEYS, TOP, hubStats } from './support.mjs';

const children = new Set();
process.on('exit', () => children.forEach((child) => child.kill('SIGKILL')));

/** Runs it with these variables. The answer has `url`, `stats(room, region)` and `close()`. */
export async function startStraightEdge(vars) {
  const program = join(TOP, 'edge-worker/bench/serve.mjs');
  const env = { ...process.env, LINK_KEYS, ...vars };
  const child = spawn(process.execPath, [program, 'worker'], { env, stdio: ['ignore', 'pipe', 'inherit'] });
  children.add(child);
  const [line] = await once(createInterface(child.stdout), 'line');
  const { url, pid } = JSON.parse(line);
  return {
    url,
    stats: (room, region) => hubStats(url, room, region),
    async close() {
      const ended = once(child, 'exit');
      child.kill();
      await ended;
      children.delete(child);
      try {
        process.kill(pid, 'SIGKILL');
      } catch {
        // It has ended with the one that started it.
      }
    },
  };
}
