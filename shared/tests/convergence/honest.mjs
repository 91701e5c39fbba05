// Histories of honest clients, one line of JSON each: several versions of yjs, undo and redo, clients that are away for
// long, second tabs that begin from a snapshot or from what y-indexeddb keeps, updates that were merged or sent again.
import 'fake-indexeddb/auto'
import { IndexeddbPersistence } from 'y-indexeddb'
import * as Y13_6 from 'yjs'
import * as Y13_5 from 'yjs-13.5'

const [first, end] = process.argv.slice(2).map(Number)
const letters = ['a', 'b', 'xyz', '\n', 'é', '\u{1f600}', 'd\u{1f600}e', 'hello ']

const chance = (seed) => {
  let state = (seed * 2654435761 + 12345) >>> 0
  const next = () => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return (mixed ^ (mixed >>> 14)) >>> 0
  }
  const below = (n) => next() % Math.max(n, 1)
  return { below, pick: (list) => list[below(list.length)], percent: (of) => below(100) < of }
}

// Where a cursor can stand: not inside a surrogate pair, if the editor is careful.
const places = (text, anywhere = false) =>
  (anywhere ? text.split('') : [...text]).reduce((all, char) => [...all, all.at(-1) + char.length], [0])

// Whether a document has all structs of a state: what is new to it begins with their number.
const has = (Y, doc, state) => Y.diffUpdate(state, Y.encodeStateVector(doc))[0] === 0

const history = async (seed) => {
  const { below, pick, percent } = chance(seed)
  // Some editors know nothing of surrogate pairs. Versions of yjs do not agree on what becomes of a divided one.
  const careless = percent(20)
  // Some browsers keep documents: reading them takes long, so there are few.
  const keeps = percent(3)
  const versions = careless || keeps ? [Y13_6] : [Y13_6, Y13_6, Y13_5]
  const server = new Y13_6.Doc()
  const sent = []
  const clients = []
  const hex = (bytes) => Buffer.from(bytes).toString('hex')
  const log = (update, step2) => {
    sent.push({ hex: hex(update), step2 })
    Y13_6.applyUpdate(server, update)
    for (const other of clients) if (other.online) other.Y.applyUpdate(other.doc, update, 'remote')
  }
  const come = async (Y, state, stored = `${seed}-${clients.length}`) => {
    const doc = new Y.Doc()
    doc.clientID = 1 + below(2 ** 31)
    const client = { Y, doc, stored, text: doc.getText('content'), online: true, unsent: [] }
    if (keeps) {
      client.persistence = new IndexeddbPersistence(stored, doc)
      await client.persistence.whenSynced
      if (state && !has(Y, doc, state)) throw new Error(`seed ${seed}: not kept`)
    } else if (state) Y.applyUpdate(doc, state, 'stored')
    client.undo = new Y.UndoManager(client.text, { captureTimeout: 0 })
    doc.on('update', (update, origin) => {
      if (origin === 'remote' || origin === 'stored' || origin === client.persistence) return
      if (client.online) log(update, false)
      else client.unsent.push(update)
    })
    clients.push(client)
    meet(client)
  }
  const meet = (client) => {
    const { Y, doc } = client
    Y.applyUpdate(doc, Y13_6.encodeStateAsUpdate(server, Y.encodeStateVector(doc)), 'remote')
    // Its answer to the server's Step1 comes first, or what it has kept; some send all that they have.
    const missing = Y13_6.encodeStateVector(server)
    client.online = true
    const answers = [
      () => log(Y.encodeStateAsUpdate(doc, missing), true),
      () => log(Y.encodeStateAsUpdate(doc), true),
      () => client.unsent.forEach((update) => log(update, false)),
      () => client.unsent.length > 0 && log(Y.mergeUpdates(client.unsent), false),
    ]
    pick(answers)()
    log(Y.encodeStateAsUpdate(doc, Y13_6.encodeStateVector(server)), true)
    client.unsent = []
  }
  await come(pick(versions))
  for (let step = 0, steps = 6 + below(24); step < steps; step++) {
    const client = pick(clients)
    const { Y, doc, text } = client
    const at = places(text.toString(), careless)
    const from = below(at.length)
    const what = below(100)
    if (what < 40) text.insert(at[from], pick(letters))
    else if (what < 58 && from + 1 < at.length) {
      const to = Math.min(from + 1 + below(4), at.length - 1)
      text.delete(at[from], at[to] - at[from])
    } else if (what < 64) client.undo.undo()
    else if (what < 68) client.undo.redo()
    else if (what < 72)
      doc.transact(() => {
        text.insert(at[from], pick(letters))
        text.insert(0, pick(letters))
        if (text.length > 2 && !percent(50)) text.delete(0, places(text.toString())[1])
      })
    else if (what < 80) client.online ? (client.online = false) : meet(client)
    else if (what < 84 && clients.length < 4) await come(pick(versions))
    // A second tab begins from what the first one has stored.
    else if (what < 88 && clients.length < 5) await come(Y, Y.encodeStateAsUpdate(doc), client.stored)
    // The same again: a provider that was told to synchronise.
    else if (what < 92 && client.online) log(Y.encodeStateAsUpdate(doc), true)
    else if (what < 96 && sent.length > 0) {
      const { hex, step2 } = pick(sent)
      log(new Uint8Array(Buffer.from(hex, 'hex')), step2)
    }
  }
  clients.filter((client) => !client.online).forEach(meet)
  const text = server.getText('content').toString()
  for (const { text: own } of clients) {
    if (own.toString() !== text) throw new Error(`seed ${seed}: clients differ`)
  }
  await Promise.all(clients.map(({ persistence }) => persistence?.clearData()))
  return { seed, sent, text }
}

for (let seed = first; seed < end; seed++) {
  if (!process.stdout.write(`${JSON.stringify(await history(seed))}\n`)) {
    await new Promise((resolve) => process.stdout.once('drain', resolve))
  }
}
