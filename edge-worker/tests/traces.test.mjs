// Two recorded editing sessions, typed by stock clients through the built Worker: the end is exactly the recorded one
// at every client, over REST, and as text in the archive.

import assert from 'node:assert/strict';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { after, before, test } from 'node:test';
import { Page, Single, converged, restText, startBoth, textOf } from './clients.mjs';
import { Author, Pace, parts, recording, write } from './trace.mjs';

const FILE = 'src/text.txt';
const clients = [];
let both;

before(async () => {
  both = await startBoth({ env: { FLUSH_DELAY_MS: '200', FLUSH_LIMIT: '1000' } });
});
after(async () => {
  clients.forEach((client) => client.close());
  await both?.close();
});

function kept(client) {
  clients.push(client);
  return client;
}

/** The file as text in the archive's database. */
function archived(room) {
  const archive = new DatabaseSync(join(both.dataDir, 'archive.db'), { readOnly: true });
  try {
    return archive.prepare('SELECT text FROM files WHERE shard = ? AND path = ?').get(room, FILE)?.text;
  } finally {
    archive.close();
  }
}

/** Everybody has exactly this text, late joiners too, and so have REST and, once it is stored, the archive. */
async function ends(room, pages, readers, endContent) {
  await converged(readers, (text) => text.length === endContent.length);
  const late = [
    await kept(new Page(both.edge.url, room, { region: 'apac' })).opened(FILE),
    await kept(new Single(both.origin.url, room, FILE)).opened(),
  ];
  for (const client of [...readers, ...late]) assert.equal(textOf(client).toString(), endContent);
  for (const { url } of [both.edge, both.origin]) assert.equal(await restText(url, room, FILE), endContent);

  const logged = pages.flatMap(({ events }) => events.filter(({ type }) => type === 'logged'));
  const last = logged.reduce((latest, event) => (event.seq > latest.seq ? event : latest));
  for (const page of pages) {
    await page.event('stored', ({ files }) => files.some(({ id, seq }) => id === last.file && seq >= last.seq));
  }
  assert.equal(archived(room), endContent);
  assert.equal(await restText(both.edge.url, room, FILE, '?from=archive'), endContent);
}

test('a Svelte component typed by one author', async () => {
  const { txns, endContent } = recording('sveltecomponent');
  const room = 'svelte';
  const page = kept(new Page(both.edge.url, room, { region: 'weur' }));
  await page.opensRoom();
  const author = await page.opened(FILE);
  const readers = await Promise.all([
    kept(new Page(both.edge.url, room, { region: 'weur' })).opened(FILE),
    kept(new Page(both.edge.url, room, { region: 'enam' })).opened(FILE, { sessionAwareness: true }),
    kept(new Single(both.edge.url, room, FILE, { region: 'enam' })).opened(),
    kept(new Page(both.origin.url, room)).opened(FILE),
  ]);
  const pace = new Pace(author);
  for (const { patches } of txns) {
    write(author.document, patches);
    await pace.keep();
  }
  assert.equal(textOf(author).toString(), endContent);
  await ends(room, [page], [author, ...readers], endContent);
  assert.deepEqual(page.statusesOf(author), Array(1 + page.updatesOf(author)).fill(1));
});

test('a text typed by two authors at once in two regions', async () => {
  const { txns, endContent } = recording('friendsforever');
  const room = 'friends';
  const pages = ['weur', 'enam'].map((region) => kept(new Page(both.edge.url, room, { region })));
  const providers = await Promise.all(
    pages.map(async (page) => {
      await page.opensRoom();
      return page.opened(FILE);
    }),
  );
  const regions = pages.map(({ wire }) => wire.sockets.map(({ region }) => region));
  assert.deepEqual(regions, [['weur'], ['enam']]);
  const reader = await kept(new Single(both.origin.url, room, FILE)).opened();

  const [anns, bens] = parts({ txns });
  const [ann, ben] = providers.map((provider, agent) => new Author(agent, provider));
  await Promise.all([ann.write(anns, ben), ben.write(bens, ann)]);
  await Promise.all([ann.reads(ben, bens.length), ben.reads(ann, anns.length)]);
  for (const { pen } of [ann, ben]) assert.equal(pen.getText('content').toString(), endContent);

  await ends(room, pages, [...providers, reader], endContent);
  for (const [agent, page] of pages.entries()) {
    assert.equal(page.updatesOf(providers[agent]), [anns, bens][agent].length);
    assert.deepEqual(page.statusesOf(providers[agent]), Array(1 + page.updatesOf(providers[agent])).fill(1));
  }
});
