// Files come with the line ends of their system: inside a document lines end in LF, outside as they came.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { until } from './support/patience.mjs';
import { setStage } from './support/stage.mjs';

const FILES = [
  { path: 'dos.txt', text: 'one\r\ntwo\r\n', end: '\r\n' },
  { path: 'mac.txt', text: 'one\rtwo\r', end: '\r' },
  { path: 'unix.txt', text: 'one\ntwo\n', end: '\n' },
];

test('a document has LF only, and its file keeps the line ends that it came with', async (t) => {
  const stage = setStage(t);
  let origin = await stage.origin({ FLUSH_DELAY_MS: '20' });
  await origin.create({ id: 'demo', files: FILES.map(({ path, text }) => ({ path, text })) });
  const texts = async (inside) => {
    for (const { path, end } of FILES) {
      assert.equal(await origin.text('demo', path), inside, path);
      assert.equal(await origin.text('demo', path, '?from=archive'), inside, `${path} in the archive`);
      const outside = inside.replaceAll('\n', end);
      assert.equal(await origin.text('demo', path, '?eol=original'), outside, `${path} outside`);
      const stored = await origin.text('demo', path, '?from=archive&eol=original');
      assert.equal(stored, outside, `${path} outside, from the archive`);
    }
  };
  await texts('one\ntwo\n');

  const ada = stage.member(origin, 'demo');
  const files = await Promise.all(FILES.map(({ path }) => ada.open(path)));
  for (const file of files) {
    assert.equal(file.text, 'one\ntwo\n', file.path);
    file.append('three\n');
  }
  await Promise.all(files.map((file) => file.saved()));
  const archive = stage.archive();
  const stored = () => FILES.every(({ path }) => archive.file('demo', path).text === 'one\ntwo\nthree\n');
  await until('the edits are stored', stored);
  await texts('one\ntwo\nthree\n');

  stage.clear();
  await origin.end('SIGKILL');
  origin = await stage.origin();
  await texts('one\ntwo\nthree\n');
});
