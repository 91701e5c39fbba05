// The page in a real Chromium, against everything that `cargo xtask dev` starts.
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { after, before, test } from "node:test";
import { startDev } from "./support/dev.mjs";
import { until } from "./support/until.mjs";
import { Window, agree, startBrowser } from "./support/windows.mjs";

const CODE = "src/App.jsx";
const STYLE = "src/App.css";

let dev;
let browser;

before(async () => {
  dev = await startDev();
  browser = await startBrowser();
});

after(async () => {
  await browser?.close();
  await dev?.stop();
});

/** Makes a project from the React template through the page; returns the window and the project's link. */
async function createProject(name) {
  const window = await Window.open(browser, name);
  await window.page.goto(dev.url);
  await window.page.getByRole("radio", { name: /^React(?! Type)/ }).first().check();
  await window.shot("start-page");
  await window.page.getByRole("button", { name: "Create project" }).click();
  await window.page.waitForURL(/\?room=/);
  await window.ready();
  return { window, link: `${dev.url}/?room=${new URL(window.page.url()).searchParams.get("room")}` };
}

async function join(link, name, options) {
  const window = await Window.open(browser, name, options);
  await window.visit(link);
  return window;
}

test("two windows type in two files, the origin dies and comes back, a third joins late, and nothing is lost", async () => {
  const { window: ada, link } = await createProject("Ada");
  const grace = await join(link, "Grace");
  const people = [ada, grace];
  const loads = people.map(({ loads }) => loads);

  await Promise.all([ada.show(CODE), grace.show(STYLE)]);
  await Promise.all([ada.type("ada-in-code ", "start"), grace.type("grace-in-style ", "end")]);
  await Promise.all([ada.show(STYLE), grace.show(CODE)]);
  await Promise.all([ada.type("ada-in-style ", "start"), grace.type("grace-in-code ", "end")]);
  await ada.show(CODE);
  await Promise.all([ada.type("ada-again ", "start"), grace.type("grace-again ", "end")]);
  const code = ["ada-in-code ", "grace-in-code ", "ada-again ", "grace-again "];
  const style = ["grace-in-style ", "ada-in-style "];
  await agree(people, CODE, code);
  await agree(people, STYLE, style);

  await ada.page.locator(".cm-remote-label", { hasText: "Grace" }).waitFor();
  await ada.say("Hello Grace");
  await Promise.all(people.map((window) => window.hears("Hello Grace")));
  await ada.shot("two-typing-ada");
  await ada.picture();
  await grace.shot("two-typing-grace");

  const startAgain = await dev.killOrigin();
  await ada.type("ada-meanwhile ", "start");
  await grace.show(STYLE);
  await grace.type("grace-meanwhile ", "end");
  for (const [window, path] of [[ada, CODE], [grace, STYLE]]) {
    await until(`${path} does not count as saved`, async () => ["saving", "offline"].includes(await window.status(path)));
  }
  await ada.shot("origin-away");
  await startAgain();
  await agree(people, CODE, [...code, "ada-meanwhile "]);
  await agree(people, STYLE, [...style, "grace-meanwhile "]);

  const linus = await join(link, "Linus");
  await linus.show(STYLE);
  await linus.show(CODE);
  const everybody = [...people, linus];
  const text = await agree(everybody, CODE, [...code, "ada-meanwhile "]);
  await agree(everybody, STYLE, [...style, "grace-meanwhile "]);
  await linus.type("linus-too ", "end");
  await agree(everybody, CODE, [...code, "ada-meanwhile ", "linus-too "]);
  assert.ok(text.includes("export default"), "the template's own text is there");
  await until("all see three people", async () => {
    const counts = await Promise.all(everybody.map(({ page }) => page.locator(".people li").count()));
    return counts.every((count) => count === 3);
  });
  await linus.say("Hello from late");
  await Promise.all(everybody.map((window) => window.hears("Hello from late")));
  await linus.shot("late-joiner");

  assert.deepEqual(people.map(({ loads }) => loads), loads, "nobody reloaded");
  for (const { problems } of everybody) assert.deepEqual(problems, []);
  await Promise.all(everybody.map(({ page }) => page.context().close()));
});

test("undo takes back one's own edits and leaves the others'", async () => {
  const { window: ada, link } = await createProject("Ada");
  const grace = await join(link, "Grace");
  await Promise.all([ada.show(CODE), grace.show(CODE)]);
  await ada.type("ada-was-here ", "start");
  await agree([ada, grace], CODE, ["ada-was-here "]);
  await grace.type("grace-stays ", "end");
  await agree([ada, grace], CODE, ["ada-was-here ", "grace-stays "]);
  await ada.show(STYLE);
  await ada.show(CODE);
  await ada.page.keyboard.press("Control+z");
  await until("Ada's edit is taken back", async () => !(await grace.file(CODE)).text.includes("ada-was-here"));
  await agree([ada, grace], CODE, ["grace-stays "]);
  await Promise.all([ada, grace].map(({ page }) => page.context().close()));
});

test("the link that one copies leads others to the file and does not carry one's token", async () => {
  const { window: ada, link } = await createProject("Ada");
  const grace = await Window.open(browser, "Grace");
  await grace.page.context().grantPermissions(["clipboard-read", "clipboard-write"]);
  await grace.visit(`${link}#token=secret`);
  await grace.show(STYLE);
  assert.match(grace.page.url(), /#token=secret$/);
  await grace.page.getByRole("button", { name: "Copy link" }).click();
  await grace.page.getByRole("button", { name: "Copied" }).waitFor();
  const copied = await grace.page.evaluate(() => navigator.clipboard.readText());
  assert.equal(copied, `${link}&file=${encodeURIComponent(STYLE)}`);
  await Promise.all([ada, grace].map(({ page }) => page.context().close()));
});

test("a file that one creates appears for all and is saved", async () => {
  const { window: ada, link } = await createProject("Ada");
  const grace = await join(link, "Grace");
  await ada.page.getByLabel("New file").fill("src/lib/new.js");
  await ada.page.getByRole("button", { name: "Create", exact: true }).click();
  await grace.item("src/lib/new.js").waitFor();
  await ada.show("src/lib/new.js");
  await ada.type("created-by-ada", "end");
  await grace.show("src/lib/new.js");
  await agree([ada, grace], "src/lib/new.js", ["created-by-ada"]);
  await ada.page.getByLabel("New file").fill("../secret");
  await ada.page.getByRole("button", { name: "Create", exact: true }).click();
  await ada.page.getByText("Every part between slashes needs a name.").waitFor();
  await Promise.all([ada, grace].map(({ page }) => page.context().close()));
});

test("a new name shows to the others, on the list, at the caret and in the chat", async () => {
  const { window: ada, link } = await createProject("Ada");
  const grace = await join(link, "Grace");
  await Promise.all([ada.show(CODE), grace.show(CODE)]);
  await ada.type("before ", "start");
  await grace.page.locator(".cm-remote-label", { hasText: "Ada" }).waitFor();
  await ada.page.getByLabel("Your name").fill("Countess");
  await ada.page.getByLabel("Your name").press("Enter");
  await grace.page.locator(".people li", { hasText: "Countess" }).waitFor();
  await grace.page.locator(".cm-remote-label", { hasText: "Countess" }).waitFor();
  await until("Ada is connected under the new name", () => ada.page.getByText("Connected", { exact: true }).isVisible());
  await ada.type("after ", "start");
  await agree([ada, grace], CODE, ["before ", "after "]);
  await ada.say("It is me");
  await grace.page.getByRole("log").locator("li", { hasText: "Countess" }).getByText("It is me").waitFor();
  assert.notEqual(...(await Promise.all([ada, grace].map(({ page }) => page.evaluate(() => window.edgeroom.room.self.color)))));
  await Promise.all([ada, grace].map(({ page }) => page.context().close()));
});

test("a hostile name, colour and message do no harm", async () => {
  const { window: ada, link } = await createProject("Ada");
  const mallory = await join(link, "Mallory");
  await Promise.all([ada.show(CODE), mallory.show(CODE)]);
  await ada.type("x", "start");
  await mallory.type("m", "end");
  await ada.page.locator(".cm-remote-label", { hasText: "Mallory" }).waitFor();
  const markup = '<img src=x onerror="window.harmed=true">';
  await mallory.page.evaluate((markup) => {
    const { room } = window.edgeroom;
    const user = { name: markup, color: "red;position:fixed;inset:0;z-index:9999" };
    room.presence.setLocalStateField("user", user);
    for (const file of room.open.values()) {
      file.awareness.setLocalState({ user, cursor: file.awareness.getLocalState().cursor });
    }
  }, markup);
  await mallory.say(markup);
  await mallory.type("n", "end");
  await ada.hears(markup);
  const harm = await ada.page.evaluate(() => ({
    harmed: window.harmed === true,
    images: document.querySelectorAll("#app img").length,
    widest: Math.max(0, ...[...document.querySelectorAll(".cm-remote-caret, .cm-remote-label")].map((element) => element.offsetWidth)),
    fixed: [...document.querySelectorAll("[class*=cm-remote], .people *, .avatars *")].filter((element) => getComputedStyle(element).position === "fixed").length,
  }));
  assert.deepEqual({ ...harm, widest: harm.widest < 400 }, { harmed: false, images: 0, widest: true, fixed: 0 });
  await ada.show(STYLE);
  await agree([ada], STYLE, []);
  await ada.shot("hostile-presence");
  assert.deepEqual(ada.problems, []);
  await Promise.all([ada, mallory].map(({ page }) => page.context().close()));
});

test("a file that the server resets is fetched again, and typing goes on", async () => {
  const { window: ada, link } = await createProject("Ada");
  const grace = await Window.open(browser, "Grace");
  let toPage;
  await grace.page.routeWebSocket(/\/rooms\//, (socket) => {
    socket.connectToServer();
    toPage = socket;
  });
  await grace.visit(link);
  await Promise.all([ada.show(CODE), grace.show(CODE)]);
  const before = await grace.page.evaluate((path) => {
    const { room } = window.edgeroom;
    const file = room.open.get(room.tree.get(path));
    return { name: file.name, client: file.doc.clientID };
  }, CODE);
  const words = (text) => Buffer.concat([Buffer.from([Buffer.byteLength(text)]), Buffer.from(text)]);
  toPage.send(Buffer.concat([words(before.name), Buffer.from([7]), words("reset")]));
  await until("the file has a new document", () =>
    grace.page.evaluate(([path, client]) => {
      const { room } = window.edgeroom;
      const file = room.open.get(room.tree.get(path));
      return file.doc.clientID !== client && file.loaded;
    }, [CODE, before.client]),
  );
  await Promise.all([ada.type("ada-after ", "start"), grace.type("grace-after ", "end")]);
  await agree([ada, grace], CODE, ["ada-after ", "grace-after "]);
  await Promise.all([ada, grace].map(({ page }) => page.context().close()));
});

test("a second tab with one's client id begins a new document and offers what was not saved", async () => {
  const { window: ada, link } = await createProject("Ada");
  const grace = await Window.open(browser, "Grace");
  const held = [];
  let holds = false;
  await grace.page.routeWebSocket(/\/rooms\//, (socket) => {
    const server = socket.connectToServer();
    server.onMessage((message) => (holds ? held.push(() => socket.send(message)) : socket.send(message)));
  });
  await grace.visit(link);
  await Promise.all([ada.show(CODE), grace.show(CODE)]);
  const typesAs = ({ page }, client, text) =>
    page.evaluate(([path, client, text]) => {
      const { room } = window.edgeroom;
      const file = room.open.get(room.tree.get(path));
      file.doc.clientID = client;
      file.text.insert(0, text);
    }, [CODE, client, text]);
  holds = true;
  await typesAs(ada, 77, "ada-first ");
  await until("Ada's text is saved", async () => (await ada.status(CODE)) === "saved");
  await typesAs(grace, 77, "grace-second ");
  await until("the server has answered Grace", () => held.length > 1);
  holds = false;
  held.forEach((send) => send());
  const notice = grace.page.getByText(`The server refused a change of ${CODE}`);
  await notice.waitFor();
  await grace.shot("same-client-id");
  const [download] = await Promise.all([
    grace.page.waitForEvent("download"),
    grace.page.getByRole("button", { name: "Download what you had" }).click(),
  ]);
  assert.match(await readFile(await download.path(), "utf8"), /grace-second /);
  await Promise.all([ada.type("ada-after ", "start"), grace.type("grace-after ", "end")]);
  const text = await agree([ada, grace], CODE, ["ada-first ", "ada-after ", "grace-after "]);
  assert.ok(!text.includes("grace-second"));
  await Promise.all([ada, grace].map(({ page }) => page.context().close()));
});

test("a permanent close is told, and the page does not come back", async () => {
  const ada = await Window.open(browser, "Ada");
  let sockets = 0;
  await ada.page.routeWebSocket(/\/rooms\//, (socket) => {
    sockets += 1;
    socket.close({ code: 4403, reason: "forbidden" });
  });
  await ada.page.clock.install();
  await ada.page.goto(`${dev.url}/?room=somebody-elses`);
  await ada.page.getByRole("alert").getByText("You are not allowed to open this project.").waitFor();
  await ada.page.clock.runFor(120_000);
  assert.equal(sockets, 1);
  await ada.shot("not-allowed");
  await ada.page.context().close();
});

test("on a narrow screen and in the dark the page is usable", async () => {
  const { window: ada, link } = await createProject("Ada");
  const phone = await join(link, "Phone", { viewport: { width: 390, height: 844 }, hasTouch: true, colorScheme: "dark" });
  await phone.show(CODE);
  await phone.type("from-the-phone ", "end");
  await ada.show(CODE);
  await agree([ada, phone], CODE, ["from-the-phone "]);
  const overflow = await phone.page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
  assert.ok(overflow <= 0, `the page is ${overflow} px too wide`);
  await phone.shot("narrow-dark");
  await Promise.all([ada, phone].map(({ page }) => page.context().close()));
});
