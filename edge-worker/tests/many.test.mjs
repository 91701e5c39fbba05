// Much that is opened at once: a thousand files and the room on one socket of a stock provider, which sends everything
// for all of them without waiting for an answer; and one large file by a hundred members.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { Page, startBoth, textOf, type } from './clients.mjs';
import { jwks, makeKey, makeToken } from './jwt.mjs';
import { until } from './support.mjs';

const FILES = 1000;
const MEMBERS = 100;
const LARGE = 2_450_000;
/** Ends a hang only. */
const HANG_MS = 240_000;
const key = makeKey('EdDSA', 'ed');
const byTokens = { AUTH: 'jwt', JWT_KEYS: jwks(key) };

let both;
before(async () => {
  const vars = { ...byTokens };
  both = await startBoth({ env: { ...byTokens, CREATE_ON_OPEN: '1', FLUSH_DELAY_MS: '50' }, vars });
});
after(() => both?.close());

for (const place of ['edge', 'origin']) {
  describe(`a thousand files and the room at the ${place}`, () => {
    const room = `many-${place}`;
    const pages = [];
    after(() => pages.forEach((page) => page.close()));

    const openAll = (sub) => {
      const page = new Page(both[place].url, room);
      pages.push(page);
      const token = makeToken(key, { room, sub, name: sub });
      page.own = page.open('.room', { token });
      const names = Array.from({ length: FILES }, (_, at) => `src/components/${at}.tsx`);
      return { page, files: names.map((name) => page.open(name, { token })) };
    };
    const isOpen = (provider) => provider.synced && !provider.hasUnsyncedChanges;
    const allOpen = ({ page, files }, what) => {
      const open = () => {
        const failed = [page.own, ...files].find((provider) => provider.failure);
        assert.equal(failed?.failure, undefined, failed?.configuration.name);
        return isOpen(page.own) && files.every(isOpen);
      };
      return until(open, HANG_MS, what).catch((error) => {
        throw new Error(`${error.message}: ${files.filter(isOpen).length} of ${files.length} are open`);
      });
    };

    test('open in one go, new ones and those that are there', async () => {
      const ann = openAll('ann');
      await allOpen(ann, 'all new files');
      assert.equal(ann.page.wire.sockets.length, 1, 'nothing has closed the socket');
      const ben = openAll('ben');
      await allOpen(ben, 'all files');
      assert.equal(ben.page.wire.sockets.length, 1);
      for (const at of [0, 500, FILES - 1]) {
        type(ann.files[at], `${at}`);
        await until(() => textOf(ben.files[at]).toString() === `${at}` && isOpen(ann.files[at]), HANG_MS, `file ${at}`);
      }
    });

    test('come back at once, as often as the socket is cut', async () => {
      const cid = openAll('cid');
      await allOpen(cid, 'all files');
      for (let round = 1; round <= 3; round++) {
        cid.page.wire.sockets.at(-1).terminate();
        await until(() => !cid.page.own.synced, HANG_MS, 'the end of the socket');
        await allOpen(cid, `all files after cut ${round}`);
        assert.equal(cid.page.wire.sockets.length, 1 + round);
      }
      type(cid.files[7], 'still here');
      await until(() => isOpen(cid.files[7]), HANG_MS, 'an acknowledgement');
      const headers = { authorization: `Bearer ${makeToken(key, { room })}` };
      const answer = await fetch(`${both[place].url}/api/v1/shards/${room}/files/src/components/7.tsx`, { headers });
      assert.equal(await answer.text(), 'still here');
    });
  });

  test(`a hundred members open a large file at the ${place} at once, and none of them is closed`, async (t) => {
    const room = `large-${place}`;
    const headers = {
      'content-type': 'application/json',
      authorization: `Bearer ${makeToken(key, { room: '*' })}`,
    };
    const body = JSON.stringify({ id: room, files: [{ path: 'large.txt', text: 'x'.repeat(LARGE) }] });
    const made = await fetch(`${both[place].url}/api/v1/shards`, { method: 'POST', headers, body });
    assert.equal(made.status, 201, await made.text());
    const pages = Array.from({ length: MEMBERS }, () => new Page(both[place].url, room));
    t.after(() => pages.forEach((page) => page.close()));
    const files = pages.map((page, at) => page.open('large.txt', { token: makeToken(key, { room, sub: `m${at}` }) }));
    const have = () => files.filter((file) => file.synced && textOf(file).length === LARGE).length;
    await until(() => have() === MEMBERS, HANG_MS, 'the text everywhere').catch((error) => {
      throw new Error(`${error.message}: ${have()} have it`);
    });
    assert.deepEqual(pages.map((page) => page.wire.sockets.length), Array(MEMBERS).fill(1));
  });
}
