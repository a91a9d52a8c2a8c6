/** The left column: servers, the channels of one server or the DMs, and the current user. */

import { avatar, cat, face, icon } from "./art.js";
import { categoryMenu, channelMenu } from "./channel-actions.js";
import { h, show } from "./dom.js";
import { newDirect } from "./people-actions.js";
import { discover, newServer, serverMenu } from "./server-actions.js";

export function sidebar(session, { drawer, leave }) {
  const { state } = session;
  const [rail, place, channels, me] = ["rail", "place", "channels", "me"].map((id) => document.getElementById(id));
  const go = (serverId, channelId) => {
    session.open(serverId, channelId);
    if (channelId) drawer(null);
  };

  addEventListener("keydown", (event) => {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (!event.altKey || !step) return;
    event.preventDefault();
    const { serverId, channelId } = state.place;
    const shown = state.channelsOf(serverId);
    const next = shown.at((shown.findIndex(({ id }) => id === channelId) + step) % shown.length);
    if (next) go(serverId, next.id);
  });

  const shelves = () => (state.server ? state.shelves(state.server) : [[null, state.channelsOf(null)]]);

  function drawRail() {
    const tiles = [
      {
        id: "home",
        name: "Direct messages",
        unread: state.unreadIn(null),
        current: state.place.serverId === null,
        run: () => go(null),
        draw: cat,
      },
      ...[...state.servers.values()].map((server) => ({
        id: server.id,
        name: server.name,
        unread: state.unreadIn(server.id),
        current: state.place.serverId === server.id,
        run: () => go(server.id),
        draw: () => avatar({ id: server.id, name: server.name, picture: server.iconUrl }, { square: true }),
      })),
      { id: "new", name: "New server", run: () => newServer(session), draw: () => icon("plus") },
      { id: "discover", name: "Join a server", run: () => discover(session), draw: () => icon("compass") },
    ];
    show(rail, tiles, {
      key: ({ id }) => id,
      fingerprint: ({ name, unread, current }) => JSON.stringify([name, unread, current]),
      draw: tile,
    });
  }

  function drawPlace() {
    const { server } = state;
    const title = server?.name ?? (state.place.serverId === null ? "Direct messages" : "Mew");
    const open = (event) => (server ? serverMenu(session, event.currentTarget) : newDirect(session));
    show(place, [title], {
      key: () => state.place.serverId,
      fingerprint: String,
      draw: () =>
        h(
          "button.place",
          { type: "button", onclick: open, "data-focus": "place", "aria-haspopup": server ? "menu" : "dialog" },
          h("h1", {}, title),
          icon(server ? "down" : "plus"),
        ),
    });
  }

  function drawChannels() {
    const rows = shelves().flatMap(([category, shelf]) => [
      ...(category ? [{ id: category.id, category }] : []),
      ...shelf.map((channel) => ({ id: channel.id, channel, unread: state.unread.get(channel.id)?.count ?? 0 })),
    ]);
    if (!rows.length) rows.push({ id: "nothing" });
    const current = state.place.channelId;
    const print = ({ id, category, channel, unread }) =>
      JSON.stringify([
        category?.name,
        channel,
        channel && state.title(channel),
        unread,
        id === current,
        channel?.recipients && here(channel),
        manages(),
      ]);
    show(channels, rows, { key: ({ id }) => id, fingerprint: print, draw: row });
  }

  const here = (channel) => state.others(channel).some(({ id }) => state.online.has(id));
  const manages = () => state.may("MANAGE_CHANNELS", state.place.serverId) && Boolean(state.server);

  function row({ category, channel, unread }) {
    if (category) return shelfTitle(category);
    if (!channel)
      return h(
        "p.nothing",
        {},
        state.server ? "No channel is open to you here." : "No conversations yet. Pick a person with the plus above.",
      );
    const direct = channel.type === "dm";
    const other = direct && (state.others(channel)[0] ?? state.me);
    const current = channel.id === state.place.channelId;
    return h(
      `.channel${current ? ".current" : ""}${unread ? ".unread" : ""}`,
      {},
      h(
        "button.name",
        {
          type: "button",
          onclick: () => go(channel.serverId, channel.id),
          "aria-current": current && "page",
          "data-focus": channel.id,
          "data-channel": channel.id,
        },
        direct ? face(state.users.get(other.id) ?? other, here(channel)) : icon(channel.private ? "lock" : "hash"),
        h("span", {}, state.title(channel)),
        unread > 0 && h("span.badge", { "aria-label": `${unread} unread` }, String(unread)),
      ),
      !direct && manages() && more(`Channel ${channel.name}`, (anchor) => channelMenu(session, anchor, channel)),
    );
  }

  function shelfTitle(category) {
    return h(
      ".shelf-title",
      {},
      h("h2", {}, category.name),
      manages() && more(`Category ${category.name}`, (anchor) => categoryMenu(session, anchor, category)),
    );
  }

  function drawMe() {
    const live = state.connection.state === "live";
    const name = state.name(state.me.id);
    show(me, [state.me.id], {
      key: String,
      fingerprint: () => JSON.stringify([name, live]),
      draw: () =>
        h(
          ".me",
          {},
          face(state.users.get(state.me.id), live),
          h(
            ".who",
            {},
            h("span.name", {}, name),
            h(live ? "span.live" : "span.live.off", {}, live ? "Live" : "Not connected"),
          ),
          h(
            "button.icon-button",
            {
              type: "button",
              "aria-label": "Sign in as another user",
              title: "Sign in as another user",
              onclick: () => (session.close(), leave()),
            },
            icon("exit"),
          ),
        ),
    });
  }

  return () => [drawRail, drawPlace, drawChannels, drawMe].forEach((draw) => draw());
}

function tile({ id, name, unread, current, run, draw }) {
  return h(
    `button.tile${current ? ".current" : ""}${unread === undefined ? ".action" : ""}`,
    {
      type: "button",
      onclick: run,
      title: name,
      "aria-label": unread ? `${name}, ${unread} unread` : name,
      "aria-current": current && "true",
      "data-focus": id,
      "data-server": id,
    },
    draw(),
    unread > 0 && h("span.badge", {}, unread > 99 ? "99+" : String(unread)),
  );
}

function more(what, open) {
  return h(
    "button.icon-button.more",
    {
      type: "button",
      "aria-label": `${what}: more`,
      "aria-haspopup": "menu",
      onclick: ({ currentTarget }) => open(currentTarget),
    },
    icon("more"),
  );
}
