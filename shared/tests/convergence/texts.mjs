// The texts that yjs makes of updates: in order, in other orders, from encoded states, and merged.
import { createInterface } from 'node:readline'
import * as Y from 'yjs'

const bytes = (hex) => new Uint8Array(Buffer.from(hex, 'hex'))

const textOf = (updates) => {
  const doc = new Y.Doc()
  const text = doc.getText('content')
  for (const update of updates) Y.applyUpdate(doc, update)
  const waits = doc.store.pendingStructs !== null || doc.store.pendingDs !== null
  return waits ? 'something is missing' : `=${text.toString()}`
}

for await (const line of createInterface({ input: process.stdin })) {
  const { updates: hex, orders, states } = JSON.parse(line)
  const updates = hex.map(bytes)
  const tries = [
    ['in order', () => updates],
    ...orders.map((order) => [`in order ${order}`, () => order.map((at) => updates[at])]),
    ...states.map(([state, from]) => [`from the state before ${from}`, () => [bytes(state), ...updates.slice(from)]]),
    ['merged', () => [Y.mergeUpdates(updates)]],
  ]
  const texts = tries.map(([name, make]) => {
    try {
      return [name, textOf(make())]
    } catch (error) {
      return [name, `${error}`]
    }
  })
  process.stdout.write(`${JSON.stringify(texts)}\n`)
}
