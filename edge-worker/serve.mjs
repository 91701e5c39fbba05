// Runs the built Worker under `wrangler dev` on port 8787, in the container of edge-worker/Dockerfile. Its variables
// (docs/OPERATIONS.md) are those of this process's environment.

import { spawn } from 'node:child_process';
import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { unstable_readConfig } from 'wrangler';

const VARIABLES = ['ORIGIN_URLS', 'ALLOWED_ORIGINS', 'AUTH', 'JWT_KEYS', 'ALLOW_OPEN', 'LINK_KEYS', 'REGION', 'REGION_PARAM'];

const top = fileURLToPath(new URL('..', import.meta.url));
const scratch = mkdtempSync(join(tmpdir(), 'edge-'));
const { compatibility_date, durable_objects, migrations, ratelimits, assets } = unstable_readConfig({
  config: join(top, 'wrangler.toml'),
});
// Without the build, which belongs to the machine that has the sources.
const config = {
  name: 'edgeroom',
  main: join(top, 'edge-worker/build/index.js'),
  compatibility_date,
  durable_objects: { bindings: durable_objects.bindings },
  migrations,
  ratelimits,
  assets: { ...assets, directory: join(top, 'demo/dist') },
  vars: Object.fromEntries(VARIABLES.flatMap((name) => (process.env[name] ? [[name, process.env[name]]] : []))),
};
writeFileSync(join(scratch, 'wrangler.json'), JSON.stringify(config));
const where = ['--ip', '0.0.0.0', '--port', '8787', '--inspector-port', '0', '--persist-to', '/data'];
const cli = join(top, 'node_modules/wrangler/wrangler-dist/cli.js');
const options = ['dev', '--local', '--show-interactive-dev-session=false', ...where];
const quiet = {
  WRANGLER_SEND_METRICS: 'false',
  WRANGLER_SEND_ERROR_REPORTS: 'false',
  CLOUDFLARE_CF_FETCH_ENABLED: 'false',
  CI: '1',
  XDG_CONFIG_HOME: scratch,
};
const wrangler = spawn(process.execPath, ['--no-warnings', cli, ...options], {
  cwd: scratch,
  env: { ...process.env, ...quiet },
  stdio: 'inherit',
});
for (const signal of ['SIGTERM', 'SIGINT']) process.on(signal, () => wrangler.kill(signal));
wrangler.on('exit', (code) => process.exit(code ?? 1));
