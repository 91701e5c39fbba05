// The shipped container files for real: their images are built, docker-compose.yml is started, edited in through the
// published ports, killed and restarted. What was shown as saved is there each time, exactly once.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { Member } from '../kill/support/member.mjs';
import { until } from '../kill/support/patience.mjs';
import { Stack, build } from './support/stack.mjs';

const NAME = `edgeroom-test-${process.pid}`;
const FILE = 'src/main.js';
const stack = new Stack(NAME, 'edge');
const members = new Set();

before(async () => {
  await build('origin/Dockerfile', 'edgeroom-origin:local');
  await build('edge-worker/Dockerfile', 'edgeroom-edge:local');
  await stack.start(['origin']).catch(explained);
});

after(async () => {
  members.forEach((member) => member.leave());
  await stack.remove();
});

async function explained(error) {
  throw new Error(`${error.message}\n${await stack.logs()}`);
}

/** Somebody who has the file open; `at` is the origin or the Worker. */
async function join(room, at = stack.ws) {
  const member = new Member(`${at}/rooms/${room}`);
  members.add(member);
  return [member, await member.open(FILE)];
}

/** Types a word, which is saved when this returns. */
async function type(room, word) {
  const [member, file] = await join(room);
  file.append(`// ${word}\n`);
  await file.saved();
  return member;
}

function has(text, words) {
  const missing = words.filter((word) => text.split(`// ${word}\n`).length !== 2);
  assert.deepEqual(missing, [], text);
}

test('an edit goes in over 8080 and is in the archive after the flush', async () => {
  await stack.create('flushed');
  const member = await type('flushed', 'one');
  await until('the flush has stored it', async () => (await stack.dirty('flushed')).length === 0);
  has(await stack.text('flushed', FILE), ['one']);
  member.leave();
  await until('nobody has the room any more', async () => !(await stack.isOpen('flushed')));
  // From the archive alone.
  has(await stack.text('flushed', FILE), ['one']);
});

test('what was saved survives kill -9 of the origin and a restart of the whole stack', async () => {
  await stack.create('killed');
  const words = [];
  for (const word of ['before-the-kill', 'after-the-kill', 'after-the-restart']) {
    const member = await type('killed', word);
    words.push(word);
    // Their documents are gone before the origin is: what is there afterwards was in Redis or MongoDB.
    member.leave();
    if (word === 'before-the-kill') await stack.killOrigin();
    if (word === 'after-the-kill') {
      await stack.stop();
      await stack.start(['origin']).catch(explained);
    }
    const [reader, file] = await join('killed');
    has(file.text, words);
    reader.leave();
  }
  has(await stack.text('killed', FILE), words);
});

test('a member at the Worker and one at the origin edit the same file', async () => {
  await stack.create('edge');
  await stack.start().catch(explained);
  await stack.edgeReady();
  const [ada, atEdge] = await join('edge', stack.edge);
  const [grace, atOrigin] = await join('edge');
  atEdge.append('// ada\n');
  atOrigin.insert(0, '// grace\n');
  await Promise.all([atEdge.saved(), atOrigin.saved()]);
  await until('both have both', () => atEdge.text === atOrigin.text && atEdge.text.includes('grace'));
  has(atEdge.text, ['ada', 'grace']);
  ada.leave();
  grace.leave();
});
