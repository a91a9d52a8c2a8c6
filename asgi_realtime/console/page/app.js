// Shows the view that the address names: `#/room/lobby?gateway=%2F`.

import { connectionView, connectionsView } from "./connections.js";
import { problem } from "./dom.js";
import { Link } from "./link.js";
import { nodesView } from "./nodes.js";
import { roomView, roomsView } from "./rooms.js";
import { sendView } from "./send.js";
import { settingsView } from "./settings.js";
import { userView, usersView } from "./users.js";

const VIEWS = {
  nodes: { title: "Nodes", show: nodesView },
  connections: { title: "Connections", show: connectionsView },
  connection: { title: "Connection", show: connectionView, under: "connections" },
  rooms: { title: "Rooms", show: roomsView },
  room: { title: "Room", show: roomView, under: "rooms" },
  users: { title: "Users", show: usersView },
  user: { title: "User", show: userView, under: "users" },
  send: { title: "Send", show: sendView },
  settings: { title: "Settings", show: settingsView },
};

const view = document.getElementById("view");
const picker = document.getElementById("gateway");
const state = document.getElementById("link");
const STATES = { open: "Connected", lost: "Connection lost. Connecting again…", ended: "Logged out" };
let leave = () => {};

const link = new Link((change) => {
  state.textContent = STATES[change];
  state.dataset.state = change;
  if (change === "ended") location.reload();
});

/** The address of a view in this page. */
function address(name, id, gateway, more = {}) {
  const query = new URLSearchParams({ gateway, ...more });
  return `#/${name}${id === null ? "" : `/${encodeURIComponent(id)}`}?${query}`;
}

function place() {
  const [path, query = ""] = location.hash.slice(2).split("?");
  const [name, id = ""] = path.split("/");
  const parameters = new URLSearchParams(query);
  const known = Object.hasOwn(VIEWS, name) ? name : "nodes";
  return { name: known, id: decoded(id), parameters, gateway: parameters.get("gateway") ?? picker.value };
}

/** Text of an address. What is no escaped text stays as it is. */
function decoded(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

function show() {
  const { name, id, parameters, gateway } = place();
  const { title, show: open, under } = VIEWS[name];
  leave();
  problem("");
  picker.value = gateway;
  document.title = `${id || title} · Realtime console`;
  for (const each of document.querySelectorAll("nav a")) {
    const current = each.hash.slice(2).split("?")[0];
    each.hash = address(current, null, gateway);
    if (current === (under ?? name)) each.setAttribute("aria-current", "page");
    else each.removeAttribute("aria-current");
  }
  view.replaceChildren();
  const stops = [];
  leave = () => stops.forEach((stop) => stop());
  open(view, {
    link,
    gateway,
    id,
    parameters,
    address: (to, of) => address(to, of, gateway),
    go: (to, of, more) => (location.hash = address(to, of, gateway, more)),
    onLeave: (stop) => stops.push(stop),
    /** Call a function now and every so many seconds, while the page is visible and this view is shown. */
    repeat(seconds, work) {
      let timer;
      let left = false;
      const turn = async () => {
        if (!document.hidden) await work();
        if (!left) timer = setTimeout(turn, seconds * 1000);
      };
      stops.push(() => {
        left = true;
        clearTimeout(timer);
      });
      turn();
    },
  });
}

picker.addEventListener("change", () => {
  const { name } = place();
  location.hash = address(VIEWS[name].under ?? name, null, picker.value);
});
document.querySelector(".skip").addEventListener("click", (event) => {
  event.preventDefault(); // the part of the address after # names a view
  view.focus();
});
addEventListener("hashchange", () => {
  show();
  view.focus({ preventScroll: true });
});

async function start() {
  const named = place().parameters.has("gateway");
  if (named) show(); // without waiting for the list of gateways
  for (;;) {
    try {
      const { gateways } = await link.ask("nodes");
      picker.replaceChildren(...gateways.map((name) => new Option(name, name)));
      picker.value = place().parameters.get("gateway") ?? gateways[0];
      if (!named) show();
      return;
    } catch (error) {
      problem(error.message);
      await new Promise((resolve) => setTimeout(resolve, 1000));
    }
  }
}

start();
