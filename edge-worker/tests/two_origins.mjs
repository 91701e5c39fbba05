// One Worker in front of two origins that share a Redis and a server with MongoDB's protocol.
//
// The Worker reaches each origin through a door, which turns away the dials of regions that are to be at home at the
// other one. Sockets, and links, which origins open themselves, do not pass through it.

import { createServer, request } from 'node:http';
import { startMongo, startRedis } from './stores.mjs';
import { startEdge, startOrigin, until } from './support.mjs';
import { PATIENCE_MS } from './clients.mjs';

/** The regions, each at home at the origin of the same number. */
export const REGIONS = ['weur', 'enam'];

/**
 * Starts all of it. The answer has `edge`, `origins`, `redis`, `mongo`, `homes`, by which a region is let in, and
 * `origin`, one that runs.
 */
export async function startTwoOrigins({ env = {} } = {}) {
  const all = {
    origins: [],
    doors: [],
    /** Which origin lets in the dials of a region: its number, or several. */
    homes: {},
    get origin() {
      return all.origins.find((origin) => origin?.runs());
    },
    /** Starts an origin that has ended, at the same address. */
    async revive(number) {
      all.origins[number] = await startOrigin({ env: all.env, port: new URL(all.origins[number].url).port });
    },
    /** Both run, and each region is at home at its own. */
    async asAtFirst() {
      all.homes = Object.fromEntries(REGIONS.map((region, number) => [region, number]));
      for (const number of all.origins.keys()) if (!all.origins[number].runs()) await all.revive(number);
    },
    /** The value of a metric at each origin that runs. */
    metric: (name) => Promise.all(all.origins.filter((one) => one.runs()).map((one) => metric(one, name))),
    /** Waits until nothing of a room is left but what is in the database, and gives what is there of a file. */
    async stored(room, path) {
      const gone = async () => (await all.redis.keys(room)).length === 0;
      await until(gone, PATIENCE_MS, `the end of ${room} in Redis`);
      return all.mongo.file(room, path);
    },
    async close() {
      await Promise.allSettled([all.edge?.close(), ...all.origins.map((origin) => origin.close())]);
      await Promise.allSettled([all.redis?.close(), all.mongo?.close(), ...all.doors.map((door) => door.close())]);
    },
  };
  try {
    [all.redis, all.mongo] = await Promise.all([startRedis(), startMongo()]);
    all.env = { REDIS_URL: all.redis.url, MONGODB_URL: all.mongo.url, FLUSH_LIMIT: '1000', ...env };
    all.origins = await Promise.all(REGIONS.map(() => startOrigin({ env: all.env })));
    await all.asAtFirst();
    const at = ({ url }, number) => startDoor(url, (region) => [all.homes[region]].flat().includes(number));
    all.doors = await Promise.all(all.origins.map(at));
    all.edge = await startEdge({ vars: { ORIGIN_URLS: all.doors.map(({ url }) => url).join() } });
    return all;
  } catch (error) {
    await all.close();
    throw error;
  }
}

/** The value of a metric of an origin. */
export async function metric({ url }, name) {
  const lines = (await (await fetch(`${url}/metrics`)).text()).split('\n');
  return Number(lines.find((line) => line.startsWith(`edgeroom_${name} `)).split(' ')[1]);
}

/** Passes requests on to an origin, but not the dials of regions for which `lets` says no. */
async function startDoor(origin, lets) {
  const server = createServer((asked, answer) => {
    const [, verb, , region] = asked.url.split('/');
    if (verb === 'dial' && !lets(region)) {
      answer.writeHead(503).end();
      return;
    }
    const { method, headers, url } = asked;
    const passed = request(new URL(url, origin), { method, headers }, (given) => {
      answer.writeHead(given.statusCode, given.headers);
      given.pipe(answer);
    });
    // What the platform says of an origin that it cannot connect to.
    passed.on('error', () => (answer.headersSent ? answer.destroy() : answer.writeHead(521).end()));
    asked.pipe(passed);
  });
  await new Promise((done) => server.listen(0, '127.0.0.1', done));
  return {
    url: `http://127.0.0.1:${server.address().port}`,
    async close() {
      server.closeAllConnections();
      await new Promise((done) => server.close(done));
    },
  };
}
