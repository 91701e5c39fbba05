// The yardstick of `cargo xtask bench edge`: an object that passes each binary message on to everybody else, over
// hibernatable sockets like the hub's. It checks nothing, keeps nothing and asks nobody.
//
// It is JavaScript, which is the harder one to be compared with: a frame goes from the platform to the receivers'
// sockets as it is, with no module memory to be copied into and out of. A client that is in gets an empty message.
import { DurableObject } from 'cloudflare:workers';

export class Room extends DurableObject {
  constructor(state, env) {
    super(state, env);
    // Kept, as the hub keeps its own: asking the platform each time costs a fifth more.
    this.sockets = new Set(state.getWebSockets());
  }

  fetch() {
    const { 0: client, 1: server } = new WebSocketPair();
    this.ctx.acceptWebSocket(server);
    this.sockets.add(server);
    server.send(new Uint8Array());
    return new Response(null, { status: 101, webSocket: client });
  }

  webSocketMessage(author, message) {
    for (const socket of this.sockets) if (socket !== author) socket.send(message);
  }

  webSocketClose(socket) {
    this.sockets.delete(socket);
  }
}

export default {
  fetch(request, env) {
    const { pathname } = new URL(request.url);
    if (pathname === '/healthz') return new Response('up');
    return env.ROOM.get(env.ROOM.idFromName(pathname)).fetch(request);
  },
};
