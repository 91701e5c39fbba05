// Serves what `cargo xtask bench edge` and `bench readers` measure: `worker` is the built Worker (`ORIGIN_URLS` and
// `LINK_KEYS` from the environment), `bare` the object of bare.mjs. Both run in the same workerd and are reached
// straight: `wrangler dev` and its test harness put a proxy in front, in a workerd of its own, which would be the
// slowest part. Prints one line, `{"url","pid"}` with workerd's process, and runs until it is asked to end.
import { readFileSync, readdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Miniflare, convertV4MiniflareOptions } from 'miniflare';
import { unstable_readConfig } from 'wrangler';

const here = dirname(fileURLToPath(import.meta.url));
const { compatibility_date } = unstable_readConfig({ config: join(here, '../../wrangler.toml') });

// Without the limit of an address: the load has only one.
const servers = {
  worker: () => ({
    rootPath: join(here, '../build'),
    modules: [
      { type: 'ESModule', path: 'index.js' },
      { type: 'CompiledWasm', path: 'index_bg.wasm' },
    ],
    bindings: {
      AUTH: 'open',
      REGION_PARAM: '1',
      ALLOWED_ORIGINS: '',
      ORIGIN_URLS: process.env.ORIGIN_URLS,
      LINK_KEYS: process.env.LINK_KEYS,
    },
  }),
  bare: () => ({ rootPath: here, modules: [{ type: 'ESModule', path: 'bare.mjs' }] }),
};

/** The process of workerd, a child of this one; this one where the system does not tell. */
function workerd() {
  const isWorkerd = (pid) => {
    try {
      const [, name, parent] = /\((.*)\) . (\d+)/s.exec(readFileSync(`/proc/${pid}/stat`, 'latin1'));
      return name === 'workerd' && Number(parent) === process.pid;
    } catch {
      // It has just ended.
      return false;
    }
  };
  try {
    return Number(readdirSync('/proc').find((pid) => /^\d+$/.test(pid) && isWorkerd(pid)) ?? process.pid);
  } catch {
    return process.pid;
  }
}

const kind = process.argv[2];
if (!servers[kind]) throw new Error(`no server ${JSON.stringify(kind)}: worker or bare`);
const server = new Miniflare(
  convertV4MiniflareOptions({
    ...servers[kind](),
    name: kind,
    host: '127.0.0.1',
    port: 0,
    cf: false,
    compatibilityDate: compatibility_date,
    durableObjects: { ROOM: { className: 'Room', useSQLite: true } },
  }),
);
const url = await server.ready;
for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP']) {
  process.once(signal, () => server.dispose().finally(() => process.exit(0)));
}
console.log(JSON.stringify({ url: url.origin, pid: workerd() }));
