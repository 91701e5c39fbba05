// Stock clients of both kinds against the built Worker, and the same against the origin alone: they converge, see
// each other come and go, and are told exactly once that a change is logged.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { PATIENCE_MS, Page, Single, converged, othersOf, restText, startBoth, textOf, type } from './clients.mjs';
import { until } from './support.mjs';

let both;
before(async () => {
  both = await startBoth({ env: { FLUSH_DELAY_MS: '50', FLUSH_LIMIT: '1000' } });
});
after(() => both?.close());

for (const place of ['edge', 'origin']) {
  describe(`stock clients at the ${place}`, () => {
    const clients = [];
    const at = () => both[place].url;
    const page = (room, options) => kept(new Page(at(), `${place}-${room}`, options));
    const single = (room, path, options) => kept(new Single(at(), `${place}-${room}`, path, options));
    const kept = (client) => {
      clients.push(client);
      return client;
    };
    /** What y-websocket has typed is not acknowledged to anybody: it is logged soon after all have seen it. */
    const becomesLogged = (room, path, text) =>
      until(async () => (await restText(at(), room, path)) === text, PATIENCE_MS, `${path} in the log`);
    after(() => clients.forEach((client) => client.close()));

    for (const sessionAwareness of [false, true]) {
      test(`converge on several files ${sessionAwareness ? 'with' : 'without'} session awareness`, async () => {
        const room = `files-${sessionAwareness}`;
        const paths = ['src/main.js', 'src/é/文.txt', 'README.md'];
        const [ann, ben] = ['weur', 'enam'].map((region) => page(room, { region }));
        const single1 = await single(room, paths[0]).opened();
        const open = (of) => Promise.all(paths.map((path) => of.opened(path, { sessionAwareness })));
        const [anns, bens] = await Promise.all([open(ann), open(ben)]);
        for (let round = 0; round < 10; round++) {
          for (const [at, path] of paths.entries()) {
            type(anns[at], `ann ${round} in ${path}\n`);
            textOf(bens[at]).insert(0, `ben ${round} in ${path} 🦀\n`);
          }
          type(single1, `single ${round}\n`);
          await new Promise(setImmediate);
        }
        const late = page(room);
        const [lates, lateSingle] = await Promise.all([open(late), single(room, paths[0]).opened()]);
        for (const [at, path] of paths.entries()) {
          const whole = (text) => text.split('\n').length === (at === 0 ? 31 : 21);
          const here = [anns[at], bens[at], lates[at], ...(at === 0 ? [single1, lateSingle] : [])];
          const text = await converged(here, whole);
          await becomesLogged(`${place}-${room}`, encodeURI(path), text);
          for (let round = 0; round < 10; round++) {
            assert.equal(text.split(`ann ${round} in ${path}\n`).length, 2);
            assert.equal(text.split(`ben ${round} in ${path} 🦀\n`).length, 2);
          }
        }
        for (const one of [ann, ben, late]) assert.equal(one.wire.sockets.length, 1, 'one socket for all files');
      });
    }

    test('are told once for each change, and once for the opening', async () => {
      const [author, reader] = [page('counts'), page('counts')];
      const file = await author.opened('a.txt');
      const other = await author.opened('b.txt');
      const [seen] = await Promise.all([reader.opened('a.txt'), reader.opensRoom()]);
      await author.settled();
      assert.deepEqual(author.statusesOf(file), [1]);

      for (let count = 1; count <= 40; count++) {
        type(file, `${count} `);
        if (count % 7 === 0) textOf(file).delete(0, 1);
        if (count % 3 === 0) await new Promise(setImmediate);
      }
      await converged([file, seen], (text) => text.endsWith('40 '));
      await Promise.all([author.settled(), reader.settled()]);
      assert.equal(author.updatesOf(file), 45);
      assert.deepEqual(author.statusesOf(file), Array(46).fill(1));
      assert.deepEqual(author.statusesOf(other), [1], 'another file is another count');
      assert.deepEqual(reader.statusesOf(seen), [1], 'who only reads is owed nothing');

      file.forceSync();
      await until(() => !file.hasUnsyncedChanges, PATIENCE_MS, 'the answer to a second Step1');
      await author.settled();
      assert.equal(author.statusesOf(file).length, 47);
      const logged = author.events.filter((event) => event.type === 'logged');
      assert.equal(logged.length, 45);
      assert.ok(logged.every(({ seq }, at) => at === 0 || seq > logged[at - 1].seq), 'and each has its place');
    });

    test('have the same name and kind of id in a room whichever door they come by', async () => {
      for (const [name, shown] of [['a'.repeat(65), 'a'.repeat(64)], [' A\0da\n', 'Ada'], ['\0 ', 'Guest']]) {
        const one = page(`members?name=${encodeURIComponent(name)}`);
        await one.settled();
        const { member } = await one.event('chat');
        assert.equal(member.name, shown);
        assert.match(member.id, /^guest-[0-9a-f]{16}$/);
      }
    });

    test('are told once for a batch of flushDelay', async () => {
      const author = page('batches');
      const file = await author.opened('a.txt', { flushDelay: 20 });
      for (let batch = 1; batch <= 5; batch++) {
        for (const letter of 'abcdef') type(file, letter);
        await until(() => !file.hasUnsyncedChanges, PATIENCE_MS, `batch ${batch}`);
      }
      await author.settled();
      assert.equal(author.updatesOf(file), 5);
      assert.deepEqual(author.statusesOf(file), Array(6).fill(1));
      assert.equal(await restText(at(), author.room, 'a.txt'), 'abcdef'.repeat(5));
    });

    test('open one file twice on a socket with session awareness', async () => {
      const author = page('twice');
      const open = () => author.opened('a.txt', { sessionAwareness: true });
      const [left, right] = await Promise.all([open(), open()]);
      assert.notEqual(left.effectiveName, right.effectiveName);
      type(left, 'from the left, ');
      await converged([left, right], (text) => text !== '');
      type(right, 'from the right');
      await converged([left, right], (text) => text === 'from the left, from the right');
      left.awareness.setLocalStateField('user', 'left');
      await until(() => othersOf(right).includes('left'), PATIENCE_MS, 'the cursor of the other editor');
      await author.settled();
      for (const provider of [left, right]) assert.deepEqual(author.statusesOf(provider), [1, 1]);

      left.destroy();
      await until(() => othersOf(right).length === 0, PATIENCE_MS, 'the end of that cursor');
      type(right, '!');
      await converged([right]);
      assert.equal(await restText(at(), author.room, 'a.txt'), 'from the left, from the right!');
    });

    test('open a file by its path and by its id, and mean the same', async () => {
      const room = `${place}-names`;
      const answer = await fetch(`${at()}/api/v1/shards`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ id: room, files: [{ path: 'src/a.txt', text: 'given ' }] }),
      });
      assert.equal(answer.status, 201, await answer.clone().text());
      const [{ id, path }] = (await answer.json()).files;
      const [ann, ben] = [page('names'), page('names')];
      const opening = [ann.opened(path), ben.opened(id), single('names', path).opened(), single('names', id).opened()];
      const all = await Promise.all(opening);
      for (const [number, client] of all.entries()) {
        assert.equal(textOf(client).toString().startsWith('given '), true);
        type(client, `${number}`);
        await converged(all, (text) => text.includes(`${number}`));
      }
      for (const name of [path, id]) await becomesLogged(room, name, 'given 0123');
    });

    test('see each other come, move and go, whichever protocol they speak', async () => {
      const [ann, ben] = ['weur', 'enam'].map((region) => page('presence', { region }));
      const [anns, bens] = await Promise.all([ann.opened('a.txt'), ben.opened('a.txt')]);
      const cay = await single('presence', 'a.txt', { region: 'weur' }).opened();
      for (const [client, user] of [[anns, 'ann'], [bens, 'ben'], [cay, 'cay']]) {
        client.awareness.setLocalStateField('user', user);
      }
      const sees = (client, ...users) =>
        until(() => othersOf(client).join() === users.join(), PATIENCE_MS, `${users.join()} in view`);
      await Promise.all([sees(anns, 'ben', 'cay'), sees(bens, 'ann', 'cay'), sees(cay, 'ann', 'ben')]);

      const late = await page('presence').opened('a.txt');
      await sees(late, 'ann', 'ben', 'cay');
      bens.awareness.setLocalStateField('user', 'ben, moved');
      await Promise.all([sees(anns, 'ben, moved', 'cay'), sees(cay, 'ann', 'ben, moved')]);

      bens.destroy();
      await Promise.all([sees(anns, 'cay'), sees(cay, 'ann'), sees(late, 'ann', 'cay')]);
      cay.close();
      await Promise.all([sees(anns), sees(late, 'ann')]);
      ann.wire.sockets[0].terminate();
      await sees(late);
    });

    test('leave one file while the socket stays, and come back', async () => {
      const [leaver, stayer] = [page('leaving'), page('leaving')];
      const [left, kept] = await Promise.all([leaver.opened('a.txt'), leaver.opened('b.txt')]);
      const others = await Promise.all([stayer.opened('a.txt'), stayer.opened('b.txt')]);
      type(left, 'before');
      await converged([left, others[0]], (text) => text === 'before');
      left.destroy();
      const goodbyes = () => leaver.wire.got.filter(({ key, type }) => key === 'a.txt' && type === 7).length;
      await until(() => goodbyes() === 1, PATIENCE_MS, 'the answer to the leaving');
      const framesOfA = () => leaver.wire.got.filter(({ key }) => key === 'a.txt').length;
      const heard = framesOfA();
      type(others[0], ', between');
      type(others[1], 'kept');
      await Promise.all([converged([kept, others[1]], (text) => text === 'kept'), converged([others[0]])]);
      await leaver.settled();
      assert.equal(framesOfA(), heard, 'nothing more comes of a file that was left');

      const again = await leaver.opened('a.txt');
      type(again, ', after');
      await converged([again, others[0]], (text) => text === 'before, between, after');
      assert.equal(leaver.wire.sockets.length, 1);
    });

    test('exchange room events', async () => {
      const [ann, ben] = ['weur', 'enam'].map((region) => page('events', { region }));
      await Promise.all([ann.opensRoom(), ben.opensRoom()]);
      for (const number of [1, 2, 3]) ann.say({ type: 'chat', text: `hello ${number}` });
      for (const who of [ann, ben]) {
        await who.event('chat', ({ text }) => text === 'hello 3');
        const chat = who.events.filter(({ type }) => type === 'chat');
        assert.deepEqual(chat.map(({ text }) => text), ['hello 1', 'hello 2', 'hello 3'], 'once each, in order');
      }
      const [mine, theirs] = [ann, ben].map(({ events }) => events.filter(({ type }) => type === 'chat'));
      assert.deepEqual(mine, theirs);

      ann.say({ type: 'visible-files', files: ['src/a.txt'] });
      const visible = await ben.event('visible-files');
      assert.deepEqual(visible.files, ['src/a.txt']);
      assert.equal(visible.member.id, mine[0].member.id);
      ann.say({ type: 'broadcast', data: { any: ['thing', 1] } });
      assert.deepEqual((await ben.event('broadcast')).data, { any: ['thing', 1] });

      const file = await ann.opened('src/a.txt');
      type(file, 'text');
      const logged = await ann.event('logged');
      for (const who of [ann, ben]) {
        const has = ({ id, seq }) => id === logged.file && seq >= logged.seq;
        const stored = await who.event('stored', ({ files }) => files.some(has));
        assert.equal(stored.files.find(has).path, 'src/a.txt');
      }
      assert.equal(await restText(at(), ann.room, 'src/a.txt', '?from=archive'), 'text');
      ben.say({ type: 'nonsense' });
      assert.equal((await ben.event('error')).code, 'bad-event');
    });

  });
}
