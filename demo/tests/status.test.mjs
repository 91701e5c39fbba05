// The pure parts of the page: what a status may say, what a close means, names, colours, paths, events.
import assert from "node:assert/strict";
import { before, test } from "node:test";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const at = (path) => fileURLToPath(new URL(path, import.meta.url));
let page;

before(async () => {
  const contents = ["status", "closing", "identity", "events", "tree"].map((name) => `export * from "./${name}";`).join("\n");
  const { outputFiles } = await build({
    stdin: { contents, resolveDir: at("../src"), loader: "ts" },
    bundle: true,
    format: "esm",
    write: false,
  });
  page = await import(`data:text/javascript;base64,${Buffer.from(outputFiles[0].contents).toString("base64")}`);
});

const delivered = { connected: true, linked: true, synced: true, unsynced: 0 };

test("saved is said only when the server has acknowledged everything on a live connection", () => {
  assert.equal(page.saveStatus(delivered), "saved");
  for (const connected of [true, false]) {
    for (const linked of [true, false]) {
      for (const synced of [true, false]) {
        for (const unsynced of [0, 1, 7]) {
          const saved = page.saveStatus({ connected, linked, synced, unsynced }) === "saved";
          assert.equal(saved, connected && synced && unsynced === 0);
        }
      }
    }
  }
});

test("what is on its way is saving, and what cannot be sent on is offline", () => {
  assert.equal(page.saveStatus({ ...delivered, unsynced: 2 }), "saving");
  assert.equal(page.saveStatus({ ...delivered, synced: false, unsynced: 1 }), "saving");
  assert.equal(page.saveStatus({ ...delivered, connected: false }), "offline");
  assert.equal(page.saveStatus({ ...delivered, linked: false, unsynced: 1 }), "offline");
  assert.equal(page.saveStatus({ ...delivered, linked: false }), "saved", "the edge is reached and nothing waits");
});

test("the sentence behind a status tells received, logged and stored apart", () => {
  const stored = { seq: 40, at: new Date(0) };
  const title = page.statusTitle("saving", 2, { logged: 42, stored });
  assert.match(title, /^2 changes on the way.*Logged up to change 42\. Stored up to change 40, at /);
  assert.match(page.statusTitle("offline", 1, {}), /^1 change kept here/);
  assert.doesNotMatch(page.statusTitle("saved", 0, {}), /undefined/);
});

test("permanent close codes end the reconnecting, transient ones do not", () => {
  for (const code of [4400, 4401, 4403, 4404, 4409, 4410, 4413, 4499]) assert.ok(page.permanentClose(code), String(code));
  for (const code of [1000, 1001, 1006, 1012, 4408, 4500, 4503, 4508, 4529]) assert.equal(page.permanentClose(code), null);
});

test("a reset file is fetched again, a forbidden one stays closed, others are opened again", () => {
  assert.equal(page.reopening("reset").kind, "again");
  assert.equal(page.reopening("file-diverged").kind, "again");
  for (const reason of ["update-reuse", "update-place"]) assert.equal(page.reopening(reason).kind, "again");
  for (const reason of ["forbidden", "not-found", "file-too-large"]) assert.equal(page.reopening(reason).kind, "never");
  for (const reason of ["restart", "Reset Connection", "anything"]) assert.equal(page.reopening(reason).kind, "again");
});

test("a colour is six hexadecimal digits or one of the palette", () => {
  assert.equal(page.colorOf("#1D5FC4", 1), "#1d5fc4");
  for (const hostile of ["red;position:fixed;inset:0", "#fff", "#12345g", "#123456\n", "url(x)", null, 7, {}]) {
    assert.ok(page.PALETTE.includes(page.colorOf(hostile, 42)), String(hostile));
  }
  for (const color of page.PALETTE) assert.equal(page.inkOn(color), "#ffffff", color);
  assert.equal(page.inkOn("#ffff00"), "#000000");
});

test("a name is one short line without control or direction characters", () => {
  assert.equal(page.nameOf("  Ada Lovelace "), "Ada Lovelace");
  assert.equal(page.nameOf("a\u202eb\u0000c\nd"), "abcd");
  assert.equal([...page.nameOf("x".repeat(10_000))].length, 40);
  for (const none of ["", "   ", "\u200b", undefined, null, 3, { toString: () => "x" }]) assert.equal(page.nameOf(none), "Anonymous");
  assert.equal(page.initialsOf("Ada King Lovelace"), "AL");
});

test("events that are malformed or unknown are left alone", () => {
  const chat = { type: "chat", id: "1", member: { id: "m", name: "Ada" }, text: "hi", at: 1 };
  assert.deepEqual(page.readRoomEvent(JSON.stringify(chat)), chat);
  const files = { type: "files", changes: [{ op: "create", id: "f_1", path: "a" }] };
  assert.deepEqual(page.readRoomEvent(JSON.stringify(files)), files);
  const broken = ["", "{", "null", "[]", '"chat"', '{"type":"nothing-known"}', '{"type":"toString"}', '{"type":"chat","text":"hi"}'];
  for (const payload of [...broken, '{"type":"files","changes":[null]}']) assert.equal(page.readRoomEvent(payload), null, payload);
});

test("the tree follows creations, renames and deletions, and files keep their identity", () => {
  const tree = new page.Tree();
  tree.load([{ id: "f_b", path: "src/b" }, { id: "f_a", path: "a" }], () => false);
  assert.deepEqual(tree.entries.map(({ path }) => path), ["a", "src/b"]);
  const mine = tree.expect("new");
  assert.equal(tree.apply({ op: "create", id: "f_n", path: "new" }), mine);
  assert.equal(mine.id, "f_n");
  assert.equal(tree.apply({ op: "rename", id: "f_n", path: "src/a" }), mine);
  assert.equal(tree.get("new"), undefined);
  assert.equal(tree.get("src/a"), mine);
  tree.apply({ op: "delete", id: "f_a", path: "a" });
  assert.deepEqual(tree.entries.map(({ path }) => path), ["src/a", "src/b"]);
  const b = tree.get("src/b");
  tree.load([{ id: "f_b", path: "src/moved" }], (entry) => entry === mine);
  assert.deepEqual(tree.entries.map(({ path }) => path), ["src/a", "src/moved"]);
  assert.equal(tree.get("src/moved"), b);
});

test("paths of new files are checked and normalised", () => {
  assert.deepEqual(page.newPath(" /src/e\u0301.js "), { path: "src/\u00e9.js" });
  for (const bad of ["", "/", "a//b", "../a", "a/./b", "a\\b", "a/", "a\u0007b", ".room", "x".repeat(600)]) {
    assert.ok(page.newPath(bad).problem, bad);
  }
});
