// The last member leaves: with that the archive has what changed, nothing else was written, and the room store holds
// nothing of the room. The delay of flushes is longer than any test, so that nothing but the leave begins one.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { sameDocument } from './support/databases.mjs';
import { until } from './support/patience.mjs';
import { setStage } from './support/stage.mjs';

const NEVER = { FLUSH_DELAY_MS: '3600000' };

test('what the last member changed is stored by the leave, and only that', async (t) => {
  const stage = setStage(t);
  const origin = await stage.origin(NEVER);
  await origin.create({ id: 'demo', template: 'react' });
  const archive = stage.archive();
  const rooms = stage.rooms();
  const before = archive.files('demo');
  assert.ok(before.length > 5, 'the template has several files');

  const ada = stage.member(origin, 'demo');
  const changed = ['src/App.jsx', 'src/App.css'];
  const [app, style] = await Promise.all(changed.map((path) => ada.open(path)));
  const readme = await ada.open('README.md');
  app.append('// by Ada \u{1f980}\n');
  app.delete(0, 1);
  style.insert(0, '/* ä */');
  style.append('\n.ada { color: teal }\n');
  await Promise.all([app.saved(), style.saved()]);
  assert.ok(rooms.holds('demo'), 'the open room is in the room store');
  const seen = new Map([app, style].map(({ path, doc, text }) => [path, { doc, text }]));
  assert.equal((await origin.room('demo')).members.length, 1);
  const untouched = readme.text;
  ada.leave();

  await until('the room store holds nothing of the room', () => !rooms.holds('demo'));
  for (const path of changed) {
    const stored = archive.file('demo', path);
    assert.equal(stored.text, seen.get(path).text, path);
    assert.ok(sameDocument(stored.doc, seen.get(path).doc), `the state of ${path} is what its member had`);
  }
  assert.equal(archive.file('demo', 'README.md').text, untouched);
  for (const now of archive.files('demo')) {
    const then = before.find(({ fid }) => fid === now.fid);
    if (changed.includes(now.path)) assert.ok(now.ver > then.ver, `${now.path} was written`);
    else assert.deepEqual(now, then, `${now.path} was not written`);
  }
  assert.equal(archive.files('demo').length, before.length);
  assert.equal(await origin.room('demo'), undefined);
  assert.equal(await origin.text('demo', 'src/App.jsx'), seen.get('src/App.jsx').text);
});

test('a visit without an edit writes nothing and leaves nothing behind', async (t) => {
  const stage = setStage(t);
  const origin = await stage.origin(NEVER);
  await origin.create({ id: 'demo', template: 'react' });
  const archive = stage.archive();
  const rooms = stage.rooms();
  const before = archive.files('demo');
  const ada = stage.member(origin, 'demo');
  await Promise.all(before.map(({ path }) => ada.open(path)));
  assert.ok(rooms.holds('demo'));
  ada.leave();
  await until('the room store holds nothing of the room', () => !rooms.holds('demo'));
  assert.deepEqual(archive.files('demo'), before);
});

test('a file that was made and left at once is stored too', async (t) => {
  const stage = setStage(t);
  const origin = await stage.origin(NEVER);
  const ada = stage.member(origin, 'new');
  const [typed, blank] = await Promise.all([ada.open('notes/typed.txt'), ada.open('notes/blank.txt')]);
  typed.append('kept');
  await typed.saved();
  assert.equal(blank.text, '');
  const rooms = stage.rooms();
  ada.leave();
  await until('the room store holds nothing of the room', () => !rooms.holds('new'));
  const archive = stage.archive();
  assert.deepEqual(archive.files('new').map(({ path }) => path), ['notes/blank.txt', 'notes/typed.txt']);
  assert.equal(archive.file('new', 'notes/typed.txt').text, 'kept');
});
