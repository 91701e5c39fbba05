// One Worker and one origin with a strait between them: every link passes through it, message by message, and what
// is lost, held back or made up there is for the test to say.

import { mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { WebSocketServer } from 'ws';
import { framed, messages, nonceOf } from './mirror.mjs';
import { connect, sign, startEdge, startOrigin } from './support.mjs';

/** What a hub says. */
export const UP = { open: 2, update: 4, sync: 5, event: 7, ping: 9 };
/** What an origin says. */
export const DOWN = { ack: 3, refuse: 4, missing: 5, diff: 8, updates: 9, pong: 13 };

/** The link of one hub. What does not pass by `passes(direction, tag, body)` waits in `held`. */
class Passage {
  passes = () => true;
  held = [];
  links = 0;

  /** Joins the sockets of a new link to the Worker and to the origin. */
  join(edge, origin) {
    this.links += 1;
    this.ends = { up: origin, down: edge.socket };
    for (const frame of edge.frames.splice(0)) this.take('up', frame);
    edge.socket.on('message', (frame) => this.take('up', frame));
    origin.on('message', (frame) => this.take('down', frame));
    for (const [one, other] of [[edge.socket, origin], [origin, edge.socket]]) {
      one.on('close', () => other.terminate());
      one.on('error', () => other.terminate());
    }
  }

  take(direction, frame) {
    for (const { tag, body } of messages(frame)) {
      if (this.passes(direction, tag, body)) this.send(direction, tag, body);
      else this.held.push({ direction, tag, body });
    }
  }

  send(direction, tag, body) {
    this.ends[direction].send(framed(tag, body));
  }

  /** From now on everything passes, and so does what was held, unless it is to be `lost`. */
  open({ lost = false } = {}) {
    this.passes = () => true;
    const held = this.held.splice(0);
    if (!lost) for (const { direction, tag, body } of held) this.send(direction, tag, body);
  }

  /** Holds back the messages of these tags. */
  holds(direction, ...tags) {
    this.passes = (way, tag) => way !== direction || !tags.includes(tag);
  }

  /** The link ends without a word, and what was held is lost. */
  cut() {
    this.passes = () => true;
    this.held = [];
    for (const end of Object.values(this.ends)) end.terminate();
  }
}

/** Starts it all. The answer has `edge`, `origin`, `passage(room, region)` and `close()`. */
export async function startStrait({ env = {} } = {}) {
  const dataDir = mkdtempSync(join(tmpdir(), 'edgeroom-strait-'));
  const passages = new Map();
  const strait = {
    passage(room, region) {
      const name = `${room}/${region}`;
      if (!passages.has(name)) passages.set(name, new Passage());
      return passages.get(name);
    },
    async close() {
      server.closeAllConnections();
      server.close();
      await Promise.allSettled([strait.edge?.close(), strait.origin?.close()]);
      rmSync(dataDir, { recursive: true, force: true });
    },
  };
  /** A dial names the strait as the Worker. */
  const server = createServer(async (asked, answer) => {
    asked.resume();
    if (!asked.url.startsWith('/dial/')) return answer.writeHead(404).end();
    const [, , room, region] = asked.url.split('/');
    const authorization = sign('dial', url, room, region, { nonce: nonceOf(asked) });
    const headers = { authorization, 'content-type': 'application/json' };
    const body = JSON.stringify({ edge: url });
    const given = await fetch(strait.origin.url + asked.url, { method: 'POST', headers, body }).catch(() => undefined);
    answer.writeHead(given?.status ?? 502).end();
  });
  const origins = new WebSocketServer({ noServer: true });
  server.on('upgrade', async (asked, socket, head) => {
    const [, , , room, region] = asked.url.split('/');
    const authorization = sign('link', strait.edge.url, room, region, { nonce: nonceOf(asked) });
    try {
      const edge = await connect(strait.edge.ws + asked.url, { headers: { authorization } });
      origins.handleUpgrade(asked, socket, head, (origin) => strait.passage(room, region).join(edge, origin));
    } catch {
      socket.destroy();
    }
  });
  await new Promise((done) => server.listen(0, '127.0.0.1', done));
  const url = `http://127.0.0.1:${server.address().port}`;
  try {
    strait.origin = await startOrigin({ env, dataDir });
    strait.edge = await startEdge({ vars: { ORIGIN_URLS: url } });
    return strait;
  } catch (error) {
    await strait.close();
    throw error;
  }
}
