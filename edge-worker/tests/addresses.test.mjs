// Odd addresses at both doors: each is accepted and then closed with a code and a reason, since a browser sees a
// refused upgrade as 1006 only, and a provider that sees 1006 comes back indefinitely.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { PATIENCE_MS, Page, restText, startBoth } from './clients.mjs';
import { connect, until } from './support.mjs';

const STEP1 = Buffer.from([0, 0, 1, 0]);
const NOWHERE = { code: 4404, reason: 'not-found' };
const BAD_PATH = { code: 4404, reason: 'bad-path' };

/** Addresses, and how the socket of a y-websocket client ends there. */
const ODD = {
  // Not UTF-8.
  '/yjs/demo/caf%E9.md': NOWHERE,
  '/yjs/caf%E9/a.md': NOWHERE,
  '/rooms/caf%E9': NOWHERE,
  '/yjs/demo/%FF': NOWHERE,
  '/yjs/demo/%C0%AF': NOWHERE,
  // A slash too many, or too few.
  '/rooms/demo/': NOWHERE,
  '/rooms//demo': NOWHERE,
  '/rooms/demo/a.md': NOWHERE,
  '/rooms/': NOWHERE,
  '/rooms': NOWHERE,
  '/yjs//demo/a.md': NOWHERE,
  '/yjs/demo/': NOWHERE,
  '/yjs/demo': NOWHERE,
  '/yjs/': NOWHERE,
  '/yjs': NOWHERE,
  '/yjs/demo//a.md': BAD_PATH,
  '/yjs/demo/src//a.md': BAD_PATH,
  '/yjs/demo/src/': BAD_PATH,
  // No room id.
  '/rooms/-demo': NOWHERE,
  '/rooms/a~b': NOWHERE,
  '/rooms/a%2Fb': NOWHERE,
  '/rooms/a%00': NOWHERE,
  [`/rooms/${'a'.repeat(129)}`]: NOWHERE,
  // No path.
  '/yjs/demo/a%5Cb': BAD_PATH,
  '/yjs/demo/a%00b': BAD_PATH,
  '/yjs/demo/..%2Fa.md': BAD_PATH,
  [`/yjs/demo/${'a'.repeat(600)}`]: BAD_PATH,
  [`/yjs/demo/${'a'.repeat(1_100)}`]: NOWHERE,
  // No socket.
  '/room/demo': NOWHERE,
  '/Rooms/demo': NOWHERE,
  '/api': NOWHERE,
  '/api/v1/rooms': NOWHERE,
};

let both;
before(async () => {
  both = await startBoth();
});
after(() => both?.close());

for (const place of ['edge', 'origin']) {
  describe(`at the ${place}`, () => {
    const ws = () => both[place].url.replace(/^http/, 'ws');

    test('an address that names nothing is told so on the socket', async () => {
      for (const [path, end] of Object.entries(ODD)) {
        const client = await connect(ws() + path).catch((error) => assert.fail(`${path}: ${error.message}`));
        if (end === BAD_PATH) client.socket.send(STEP1);
        assert.deepEqual(await client.closed, end, path);
      }
    });

    test('an address that is spelled oddly and names something is served', async (t) => {
      const page = new Page(both[place].url, 'served');
      t.after(() => page.close());
      for (const [path, file] of [
        ['/yjs/served/caf%C3%A9.md', 'café.md'],
        ['/yjs/ser%76ed/src%2Fa.md', 'src/a.md'],
        ['/yjs/served/100%25.md', '100%.md'],
        ['/yjs/served/%zz', '%zz'],
        ['//yjs/served/b.md', 'b.md'],
        ['/yjs/served/c.md?name=%FF&token=%FF', 'c.md'],
      ]) {
        const client = await connect(ws() + path);
        client.socket.send(STEP1);
        await until(() => client.frames.length > 0, PATIENCE_MS, path);
        assert.equal(client.socket.readyState, client.socket.OPEN, path);
        client.socket.terminate();
        assert.equal(await restText(both.origin.url, 'served', encodeURIComponent(file)), '', path);
      }
    });
  });
}
