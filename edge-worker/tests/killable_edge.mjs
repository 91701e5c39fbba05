// A Worker whose workerd can be killed and started again on the same address with what it had stored.

import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { unstable_readConfig } from 'wrangler';
import { LINK_KEYS, PATIENCE_MS, TOP, freePort, hubStats, until } from './support.mjs';

const groups = new Set();
process.on('exit', () => groups.forEach(killGroup));

/** Runs the built Worker under `wrangler dev`. The answer is like that of `startEdge`, with `kill()` and `revive()`. */
export async function startKillableEdge({ vars = {} } = {}) {
  const scratch = mkdtempSync(join(tmpdir(), 'edgeroom-killable-'));
  const { compatibility_date, durable_objects, migrations, ratelimits } = unstable_readConfig({
    config: join(TOP, 'wrangler.toml'),
  });
  const config = {
    name: 'edgeroom',
    main: join(TOP, 'edge-worker/build/index.js'),
    compatibility_date,
    durable_objects: { bindings: durable_objects.bindings },
    migrations,
    ratelimits,
    vars: { AUTH: 'open', REGION_PARAM: '1', LINK_KEYS, ALLOWED_ORIGINS: '', ...vars },
  };
  writeFileSync(join(scratch, 'wrangler.json'), JSON.stringify(config));
  const port = await freePort();
  const edge = {
    url: `http://127.0.0.1:${port}`,
    ws: `ws://127.0.0.1:${port}`,
    stats: (room, region) => hubStats(edge.url, room, region),
    /** SIGKILL, to all of its processes. */
    async kill() {
      killGroup(edge.group);
      await edge.ended;
      groups.delete(edge.group);
    },
    /** Starts it again. */
    async revive() {
      const where = ['--ip', '127.0.0.1', '--port', `${port}`, '--inspector-port', '0'];
      const state = ['--persist-to', join(scratch, 'state'), '--show-interactive-dev-session=false'];
      const cli = join(TOP, 'node_modules/wrangler/bin/wrangler.js');
      const child = spawn(process.execPath, [cli, 'dev', '--local', ...where, ...state], {
        cwd: scratch,
        // A process group of its own, with workerd in it.
        detached: true,
        stdio: ['ignore', 'pipe', 'pipe'],
      });
      edge.group = child.pid;
      groups.add(child.pid);
      let output = '';
      for (const stream of [child.stdout, child.stderr]) stream.on('data', (data) => (output += data));
      edge.ended = new Promise((done) => child.on('exit', done));
      const answers = () => fetch(`${edge.url}/healthz`).then(({ ok }) => ok, () => false);
      await until(answers, PATIENCE_MS, 'a Worker').catch((error) => {
        throw new Error(`${error.message}:\n${output}`);
      });
    },
    async close() {
      if (groups.has(edge.group)) await edge.kill();
      rmSync(scratch, { recursive: true, force: true });
    },
  };
  try {
    await edge.revive();
    return edge;
  } catch (error) {
    await edge.close();
    throw error;
  }
}

function killGroup(group) {
  try {
    process.kill(-group, 'SIGKILL');
  } catch {
    // It has ended by itself.
  }
}
