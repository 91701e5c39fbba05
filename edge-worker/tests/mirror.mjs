// An origin that is none: it notes who asks it to dial, repeats REST requests, and gives on a link the
// answers without which a hub opens no document.

import { createServer } from 'node:http';

/** An origin that notes dials, calls `dialled` with each, and repeats what it is asked. */
export async function startMirror(dialled = () => {}) {
  const dials = [];
  const server = createServer(async (request, response) => {
    const body = [];
    for await (const chunk of request) body.push(chunk);
    const text = Buffer.concat(body).toString();
    const { method, url, headers } = request;
    if (url.startsWith('/dial/')) {
      dials.push({ method, url, headers, body: text, at: Date.now() });
      response.writeHead(202).end();
      dialled(dials.at(-1));
      return;
    }
    if (url === '/readyz') {
      response.writeHead(200).end();
      return;
    }
    response.writeHead(201, { 'content-type': 'application/json', etag: '"1"' });
    response.end(JSON.stringify({ method, url, headers, body: text }));
  });
  await new Promise((done) => server.listen(0, '127.0.0.1', done));
  return {
    url: `http://127.0.0.1:${server.address().port}`,
    dials,
    dial: (room) => dials.find((dial) => dial.url.startsWith(`/dial/${room}/`)),
    close: () => server.close(),
  };
}

/** The nonce of a dial. */
export function nonceOf(dial) {
  return /nonce=([^,]+)/.exec(dial.headers.authorization)[1];
}

/** Reads one of lib0's numbers. */
function number(bytes, at) {
  let value = 0;
  for (let scale = 1; ; scale *= 128, at++) {
    value += (bytes[at] & 127) * scale;
    if (bytes[at] < 128) return [value, at + 1];
  }
}

/** Writes one of lib0's numbers. */
function spelled(value) {
  const bytes = [];
  for (; value >= 128; value = Math.floor(value / 128)) bytes.push(128 | value % 128);
  return [...bytes, value];
}

/** The messages of a link frame: a version, then tags with bodies. */
function messages(frame) {
  const found = [];
  for (let at = 1; at < frame.length; ) {
    const [length, body] = number(frame, at + 1);
    found.push({ tag: frame[at], body: frame.subarray(body, body + length) });
    at = body + length;
  }
  return found;
}

/** The update of a change whose kind stands here, and whether its hub has held it back. */
function updateOf(body, kind) {
  const [, mayEdit] = number(body, kind + 1);
  const [length, start] = number(body, mayEdit + 1);
  return { update: body.subarray(start, start + length), held: body[start + length] === 1 };
}

const FILE = Buffer.from('f_0123456789abcdef');
/** An update without content, an empty state vector, size 0, and a position. */
const EMPTY = [2, 0, 0, 1, 0, 0, 1, 0, 1];

function answer(tag, body) {
  return Buffer.from([1, tag, ...spelled(body.length), ...body]);
}

/**
 * Answers on a link as if there were one file and nothing in it: `open` by `opened`, `sync` by `diff`, a change by what
 * `onChange` makes of it. While `isDead` it says nothing.
 */
export function answerEmpty({ socket, frames }, { onChange = () => {}, isDead = () => false } = {}) {
  let seq = 0;
  const respond = (frame) => {
    if (isDead()) return;
    for (const { tag, body } of messages(frame)) {
      if (![2, 4, 5].includes(tag)) continue;
      const [channel, end] = number(body, 0);
      const head = [...spelled(channel), FILE.length, ...FILE];
      if (tag === 2) socket.send(answer(1, [...head, 0, 0, 0]));
      if (tag === 2) continue;
      const [count, next] = number(body, end + 1 + FILE.length);
      if (tag === 5) socket.send(answer(8, [...head, ...spelled(count), ...EMPTY]));
      else {
        const named = [...head, ...spelled(count)];
        const ack = () => socket.send(answer(3, [...named, ...spelled((seq += 1)), 0]));
        const { update, held } = updateOf(body, next);
        onChange({
          channel,
          isStep2: body[next] === 1 && !held,
          ack,
          /** It is in the log, and sent to the other sessions of its hub, which has shown it to nobody. */
          log() {
            const delivered = [FILE.length, ...FILE, ...spelled(channel), ...spelled(update.length), ...update];
            socket.send(answer(9, [1, ...spelled(seq + 1), 1, 1, ...delivered]));
            ack();
          },
          /** What it depends on is nowhere; the log is empty. */
          miss: () => socket.send(answer(5, [...named, 1, 0])),
        });
      }
    }
  };
  frames.forEach(respond);
  socket.on('message', respond);
}
