// An object with nothing but sockets that may sleep, for closes.test.mjs: what the platform makes of a close by itself.

import { DurableObject } from 'cloudflare:workers';

let made = 0;

export class Bare extends DurableObject {
  /** Another one means that the object has slept meanwhile. */
  number = (made += 1);
  heard = 0;
  /** Code of each close that came, and the state that the socket had then. */
  closes = [];

  async fetch(request) {
    const { pathname, searchParams } = new URL(request.url);
    if (pathname === '/state') {
      const { number, heard, closes } = this;
      return Response.json({ number, heard, closes });
    }
    if (pathname === '/close') {
      for (const socket of this.ctx.getWebSockets()) socket.close(Number(searchParams.get('code')), 'a reason');
      return new Response();
    }
    const [client, server] = Object.values(new WebSocketPair());
    this.ctx.acceptWebSocket(server);
    return new Response(null, { status: 101, webSocket: client });
  }

  /** `close CODE` closes the socket, after `answer` the object answers a close. */
  webSocketMessage(socket, message) {
    this.heard += 1;
    const [word, code] = message.split(' ');
    if (word === 'close') socket.close(Number(code), 'a reason');
    if (word === 'answer') this.answers = true;
  }

  webSocketClose(socket, code, reason) {
    this.closes.push([code, socket.readyState]);
    if (this.answers) socket.close(code, reason);
  }
}

export default {
  fetch(request, env) {
    const room = new URL(request.url).searchParams.get('room');
    return env.BARE.get(env.BARE.idFromName(room)).fetch(request);
  },
};
