/** The page: log in, start a session, draw the columns after each change. */

import { Api } from "./api.js";
import { composer } from "./composer.js";
import { conversation } from "./conversation.js";
import { notice } from "./dialogs.js";
import { login } from "./login.js";
import { people } from "./people.js";
import { Session } from "./session.js";
import { sidebar } from "./sidebar.js";

const TOKEN = "mew:token"; // in sessionStorage, which belongs to one window: two windows can have two users
const FAREWELL = "mew:farewell";

start();

async function start() {
  const api = new Api(sessionStorage.getItem(TOKEN));
  const user = api.token && (await api.get("/users/me").catch(() => null));
  if (user) enter(api, user);
  else
    login(document.getElementById("login"), {
      text: farewell(),
      onToken: (token) => (sessionStorage.setItem(TOKEN, token), start()),
    });
}

function enter(api, user) {
  document.getElementById("login").replaceChildren();
  document.getElementById("login").hidden = true;
  document.getElementById("app").hidden = false;
  let views = [];
  const session = new Session(api, user, {
    onChange: () => {
      for (const draw of views) draw();
      title(session.state);
    },
    onNotice: notice,
    onRenewed: (token) => sessionStorage.setItem(TOKEN, token),
    onEnd: leave,
  });
  const drawer = drawers();
  views = [sidebar, conversation, composer, people].map((view) => view(session, { drawer, leave }));
  session.changed();
}

/** Back to the login, with all listeners of this session removed. */
function leave(why = "") {
  sessionStorage.removeItem(TOKEN);
  sessionStorage.setItem(FAREWELL, why);
  location.reload();
}

function farewell() {
  const text = sessionStorage.getItem(FAREWELL);
  sessionStorage.removeItem(FAREWELL);
  return text;
}

function title(state) {
  const unread = state.unreadTotal;
  const place = state.channel ? `${state.title(state.channel)} · Mew` : "Mew";
  document.title = unread ? `(${unread}) ${place}` : place;
}

/** On a narrow screen the side columns are drawers: `drawer("sidebar")`, `drawer("people")`, `drawer(null)`. */
function drawers() {
  const app = document.getElementById("app");
  const drawer = (name) => {
    app.dataset.drawer = name ?? "";
    if (name) document.getElementById(name).querySelector("button")?.focus({ preventScroll: true });
  };
  document.getElementById("scrim").addEventListener("click", () => drawer(null));
  addEventListener(
    "keydown",
    ({ key }) => key === "Escape" && !document.querySelector("dialog[open], :popover-open") && drawer(null),
  );
  return drawer;
}
