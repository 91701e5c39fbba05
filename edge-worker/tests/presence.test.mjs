// Presence through the loss of the object's memory, with stock providers.
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { HocuspocusProvider, HocuspocusProviderWebsocket } from '@hocuspocus/provider'
import WebSocket from 'ws'
import * as Y from 'yjs'
import { PATIENCE_MS, freePort, startEdge, startOrigin, until } from './support.mjs'

const dataDir = mkdtempSync(join(tmpdir(), 'edgeroom-presence-'))
let edge, origin

before(async () => {
  const port = await freePort()
  edge = await startEdge({ vars: { ORIGIN_URLS: `http://127.0.0.1:${port}` } })
  origin = await startOrigin({ edge: edge.url, dataDir, port })
})

after(async () => {
  await origin?.close()
  await edge?.close()
  rmSync(dataDir, { recursive: true, force: true })
})

function member(room, name) {
  const url = `${edge.ws}/rooms/${room}?region=weur`
  const socket = new HocuspocusProviderWebsocket({ url, WebSocketPolyfill: WebSocket })
  const provider = new HocuspocusProvider({
    websocketProvider: socket,
    name: 'src/main.js',
    document: new Y.Doc(),
    token: 'open',
  })
  provider.attach()
  provider.awareness.setLocalStateField('user', { name })
  return {
    provider,
    sees: () => [...provider.awareness.getStates().values()].map((state) => state.user?.name).filter(Boolean).sort(),
    leave() {
      provider.destroy()
      socket.destroy()
    },
    /** The process is gone: no frame says goodbye. */
    vanish() {
      socket.webSocket.terminate()
      provider.destroy()
      socket.destroy()
    },
  }
}

test('the origin shows how the hub stands', async () => {
  const ann = member('presence-counted', 'ann')
  try {
    const shown = async () => (await (await fetch(`${origin.url}/metrics`)).text()).includes('edgeroom_hub_sessions{region="weur"} 1\n')
    await until(shown, PATIENCE_MS, 'the session in the metrics')
  } finally {
    ann.leave()
  }
})

for (const [how, end] of [
  ['leaves', (who) => who.leave()],
  ['vanishes', (who) => who.vanish()],
]) {
  test(`schedule 6: the cursor of a member who ${how} while the object sleeps goes for the others`, async () => {
    const room = `presence-${how}`
    const [ann, ben] = [member(room, 'ann'), member(room, 'ben')]
    try {
      await until(() => ann.sees().length === 2 && ben.sees().length === 2, PATIENCE_MS, 'both see each other')
      await until(() => ann.provider.unsyncedChanges === 0, PATIENCE_MS, 'nothing is outstanding')
      await edge.evict(`${room}~weur`)
      end(ann)
      await until(() => ben.sees().join() === 'ben', PATIENCE_MS, 'ann is gone for ben')
    } finally {
      ann.leave()
      ben.leave()
    }
  })
}
