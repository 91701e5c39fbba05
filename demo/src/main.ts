import { Api } from "./api";
import { publish } from "./hook";
import { roomOf, startPage } from "./start";
import { Workspace } from "./workspace";

// `/` is the start page, `/?room=ID&file=PATH` the editor. A token travels in the fragment, which
// browsers send to nobody.
const query = new URLSearchParams(location.search);
const token = new URLSearchParams(location.hash.slice(1)).get("token");
const api = new Api(token);
const app = document.getElementById("app") ?? document.body;
const room = query.get("room");

if (room === null) {
  app.replaceChildren(startPage(api));
  document.body.dataset["ready"] = "true";
} else if (roomOf(room)) {
  const workspace = new Workspace(
    {
      id: room,
      host: location.host,
      secure: location.protocol === "https:",
      region: query.get("region"),
      token: token ?? "open",
    },
    api,
  );
  app.replaceChildren(workspace.element);
  publish(workspace);
  workspace.start(query.get("file")).then(
    () => (document.body.dataset["ready"] = "true"),
    () => (document.body.dataset["ready"] = "closed"),
  );
} else {
  location.replace("/");
}
