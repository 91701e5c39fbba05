// Changes as large as a document: a paste of several MB is taken like any typing, kept while the origin is away, and
// who pastes more than a file holds is told and goes on once it is less.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { PATIENCE_MS, Page, Single, converged, restText, textOf, type } from './clients.mjs';
import { startKillableEdge } from './killable_edge.mjs';
import { FILE } from './members.mjs';
import { startOrigin, until } from './support.mjs';

const MB = 1 << 20;

let origin, edge;
before(async () => {
  origin = await startOrigin({ env: { FLUSH_DELAY_MS: '200', FLUSH_LIMIT: '1000' } });
  edge = await startKillableEdge({ vars: { ORIGIN_URLS: origin.url } });
});
after(async () => {
  await edge?.close();
  await origin?.close();
});

/** A member with the file open, with each kind of provider. */
const kinds = {
  hocuspocus: async (t, at, room) => {
    const page = new Page(at, room, { region: 'weur' });
    t.after(() => page.close());
    return page.opened(FILE);
  },
  'y-websocket': async (t, at, room) => {
    const single = await new Single(at, room, FILE, { region: 'weur' }).opened();
    t.after(() => single.close());
    return single;
  },
};

for (const [kind, opens] of Object.entries(kinds)) {
  for (const door of ['the Worker', 'an origin']) {
    test(`a paste of 5 MB is shown, goes on and is saved: ${kind} at ${door}`, async (t) => {
      const room = `paste-${kind}-${door.split(' ').at(-1)}`;
      const at = door === 'the Worker' ? edge.url : origin.url;
      const reader = await kinds.hocuspocus(t, at, room);
      const author = await opens(t, at, room);
      type(author, 'before ');
      type(author, 'x'.repeat(5 * MB));
      type(author, ' behind');
      const text = await converged([author, reader], (text) => text.length === 5 * MB + 14);
      const archived = () => restText(origin.url, room, FILE, '?from=archive').catch(() => '');
      await until(async () => (await archived()) === text, PATIENCE_MS, 'all of it in the archive');
    });
  }
}

describe('while the origin stands still', () => {
  test('a paste of 5 MB is kept by an object that is killed, and logged afterwards', async (t) => {
    const room = 'paste-kept';
    const author = await kinds.hocuspocus(t, edge.url, room);
    type(author, 'before ');
    await until(() => !author.hasUnsyncedChanges, PATIENCE_MS, 'the log');
    process.kill(origin.pid, 'SIGSTOP');
    try {
      type(author, 'x'.repeat(5 * MB));
      type(author, ' behind');
      const stored = async () => {
        const { hub, rows } = await edge.stats(room, 'weur');
        return hub.unacknowledged === 2 && rows.outbox > 0 && hub.outbox_bytes > 5 * MB;
      };
      await until(stored, PATIENCE_MS, 'both in rows');
      author.destroy();
      await edge.kill();
    } finally {
      process.kill(origin.pid, 'SIGCONT');
    }
    await edge.revive();
    const whole = `before ${'x'.repeat(5 * MB)} behind`;
    const logged = async () => (await restText(origin.url, room, FILE)) === whole;
    await until(logged, PATIENCE_MS, 'what was in rows');
  });
});

test('a y-websocket that pastes more than a file holds is told why, and goes on once it is less', async (t) => {
  const room = 'paste-too-large';
  const reader = await kinds.hocuspocus(t, edge.url, room);
  const author = await kinds['y-websocket'](t, edge.url, room);
  const closes = [];
  author.provider.on('connection-close', (event) => event && closes.push(event.code));
  const warnings = t.mock.method(console, 'warn', () => {}).mock;
  type(author, 'before ');
  textOf(author).insert(7, 'x'.repeat(9 * MB));
  await until(() => closes.includes(4513), PATIENCE_MS, 'the close');
  const told = () => warnings.calls.some(({ arguments: [warning] }) => /takes \d+ bytes/.test(warning));
  assert.ok(told(), 'its provider shows why');
  // What is typed meanwhile is not lost once the paste is undone.
  textOf(author).insert(0, 'meanwhile ');
  textOf(author).delete(17, 9 * MB);
  await converged([author, reader], (text) => text === 'meanwhile before ');
  type(author, 'and on');
  await converged([author, reader], (text) => text === 'meanwhile before and on');
});
