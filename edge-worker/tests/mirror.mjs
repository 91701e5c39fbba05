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
export function number(bytes, at) {
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
export function messages(frame) {
  const found = [];
  for (let at = 1; at < frame.length; ) {
    const [length, body] = number(frame, at + 1);
    found.push({ tag: frame[at], body: frame.subarray(body, body + length) });
    at = body + length;
  }
  return found;
}

const FILE = Buffer.from('f_0123456789abcdef');
/** An update without content, an empty state vector, size 0, and a position. */
const EMPTY = [2, 0, 0, 1, 0, 0, 1, 0, 1];

/** A link frame of one message. */
export function framed(tag, body) {
  return Buffer.from([1, tag, ...spelled(body.length), ...body]);
}

/** Answers on a link as if there were one file and nothing in it: `open` by `opened`, `sync` by `diff`. */
export function answerEmpty({ socket, frames }) {
  const respond = (frame) => {
    for (const { tag, body } of messages(frame)) {
      const [channel, end] = number(body, 0);
      const head = [...spelled(channel), FILE.length, ...FILE];
      if (tag === 2) socket.send(framed(1, [...head, 0, 0, 0]));
      if (tag !== 5) continue;
      const [ask] = number(body, end + 1 + FILE.length);
      socket.send(framed(8, [...head, ...spelled(ask), ...EMPTY]));
    }
  };
  frames.forEach(respond);
  socket.on('message', respond);
}
