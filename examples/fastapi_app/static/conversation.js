/** The middle column: header, state of the connection, and messages. */

import { cat, icon } from "./art.js";
import { h, show } from "./dom.js";
import { messageView } from "./message.js";
import { newDirect } from "./people-actions.js";
import { discover } from "./server-actions.js";

const NEAR = 90; // pixels from the end within which new messages are followed
const TOGETHER = 5 * 60_000; // milliseconds between messages of one author that share a header

export function conversation(session, { drawer }) {
  const { state } = session;
  const [head, banner, scroller] = ["head", "banner", "messages"].map((id) => document.getElementById(id));
  const list = h(".list");
  const latest = h(
    "button.latest",
    { type: "button", hidden: true, onclick: () => toEnd("smooth") },
    icon("down"),
    h("span"),
  );
  scroller.append(list);
  scroller.after(latest);
  const draw = messageView(session);
  let [shown, newest, oldest, loading] = [null, null, null, false];
  let following = true; // the view is at the end, and stays there when a message is added
  let [bannerState, countdown] = [null, null]; // the connection state that the banner shows, and its timer

  const nearEnd = () => scroller.scrollHeight - scroller.scrollTop - scroller.clientHeight < NEAR;
  const toEnd = (behavior = "instant") => scroller.scrollTo({ top: scroller.scrollHeight, behavior });

  scroller.addEventListener("scroll", () => {
    following = nearEnd();
    if (following) latest.hidden = true;
    if (scroller.scrollTop < 60) earlier();
  });
  // A growing composer or a phone's keyboard must not hide the last message.
  new ResizeObserver(() => following && toEnd()).observe(scroller);
  scroller.addEventListener("keydown", walk);

  async function earlier() {
    const { channel } = state;
    if (loading || !channel || state.complete.has(channel.id) || !state.messages.has(channel.id)) return;
    loading = true;
    await session.earlier(channel.id);
    loading = false;
  }

  function drawHead() {
    const { channel, server, place } = state;
    const others = channel?.recipients && state.others(channel);
    const status = others && (others.some(({ id }) => state.online.has(id)) ? "Online" : "Offline");
    const unread = state.unreadTotal;
    const title = channel ? state.title(channel) : (place.notice?.server.name ?? (server ? server.name : "Mew"));
    show(head, ["head"], {
      key: String,
      fingerprint: () => JSON.stringify([channel?.id, title, channel?.topic, channel?.private, status, unread]),
      draw: () =>
        h(
          ".head",
          {},
          h(
            "button.icon-button.drawer",
            {
              type: "button",
              "aria-label": unread ? `Channels, ${unread} unread` : "Channels",
              onclick: () => drawer("sidebar"),
            },
            icon("menu"),
            unread > 0 && h("span.badge", {}, String(unread)),
          ),
          channel && channel.type !== "dm" && icon(channel.private ? "lock" : "hash"),
          h("h2", {}, title),
          h("p.topic", {}, channel?.topic || status || ""),
          h(
            "button.icon-button.drawer",
            { type: "button", "aria-label": "People", onclick: () => drawer("people") },
            icon("people"),
          ),
        ),
    });
  }

  function drawBanner() {
    if (bannerState === state.connection) return;
    bannerState = state.connection;
    clearInterval(countdown);
    const { state: name, detail, again } = bannerState;
    banner.dataset.state = name === "live" ? (again ? "back" : "live") : again ? "lost" : "connecting";
    if (name === "live") {
      banner.replaceChildren(again ? "Back online." : "");
      setTimeout(() => banner.dataset.state === "back" && (banner.dataset.state = "live"), 2_500);
    } else if (name === "waiting") {
      const [text, what] = [h("span"), again ? "Connection lost." : "The server does not answer."];
      const tick = () => {
        const seconds = Math.max(1, Math.ceil((detail.retryAt - Date.now()) / 1_000));
        text.textContent = `${what} Trying again in ${seconds} s.`;
      };
      tick();
      countdown = setInterval(tick, 500);
      banner.replaceChildren(text, h("button.link", { type: "button", onclick: session.reconnect }, "Try now"));
    } else banner.replaceChildren(again ? "Connection lost. Reconnecting…" : "Connecting…");
  }

  function rows() {
    const { channel, place } = state;
    if (place.serverId === undefined) return [];
    if (!channel) return [{ id: "empty", kind: "empty", seen: [place, state.servers.size] }];
    const messages = state.messages.get(channel.id);
    if (!messages) return [{ id: "loading", kind: "loading" }];
    const start = { id: "start", kind: "start", seen: [state.title(channel), channel.topic] };
    const result = [state.complete.has(channel.id) ? start : { id: "earlier", kind: "earlier" }];
    let previous = null;
    for (const message of messages) {
      const day = new Date(message.createdAt).toDateString();
      const newDay = !previous || new Date(previous.createdAt).toDateString() !== day;
      const isNew = message.id === state.newSince;
      if (newDay) result.push({ id: `day:${message.id}`, kind: "day", day });
      if (isNew) result.push({ id: "new", kind: "new" });
      const near = previous && Date.parse(message.createdAt) - Date.parse(previous.createdAt) < TOGETHER;
      const joined =
        near && !newDay && !isNew && previous.authorId === message.authorId && !message.referencedMessageId;
      result.push({
        id: message.id,
        kind: "message",
        message,
        joined,
        replied: messages.find(({ id }) => id === message.referencedMessageId),
      });
      previous = message;
    }
    return result;
  }

  function drawMessages() {
    const { channel } = state;
    const items = rows();
    const messages = (channel && state.messages.get(channel.id)) ?? [];
    const [opened, atEnd] = [shown !== `${channel?.id}:${Boolean(messages.length)}`, nearEnd()];
    const added = messages.at(-1)?.id !== newest;
    const prepended = !opened && messages[0]?.id !== oldest;
    const heightBefore = scroller.scrollHeight;
    show(list, items, {
      key: ({ id }) => id,
      fingerprint: ({ kind, message, joined, replied, seen }) =>
        kind === "message" ? draw.fingerprint({ message, joined, replied }) : JSON.stringify([kind, seen]),
      draw: (item) => (item.kind === "message" ? draw.element(item) : ornament(item)),
    });
    [shown, newest, oldest] = [`${channel?.id}:${Boolean(messages.length)}`, messages.at(-1)?.id, messages[0]?.id];
    rove();
    if (opened) {
      latest.hidden = true;
      const line = list.querySelector(".new");
      toEnd();
      line?.scrollIntoView({ block: "nearest" });
    } else if (prepended) scroller.scrollTop += scroller.scrollHeight - heightBefore;
    else if (added && !atEnd && messages.at(-1)?.authorId !== state.me.id) {
      latest.hidden = false;
      latest.lastChild.textContent = "New messages";
    } else if (atEnd || added) toEnd();
  }

  function ornament({ kind, day }) {
    if (kind === "day") return h(".rule.day", {}, h("span", {}, dayName(day)));
    if (kind === "new") return h(".rule.new", {}, h("span", {}, "New"));
    if (kind === "earlier") return h("button.earlier", { type: "button", onclick: earlier }, "Earlier messages");
    if (kind === "loading")
      return h(".loading", { "aria-label": "Loading" }, ...Array.from({ length: 5 }, () => h(".bone")));
    if (kind === "start") return beginning(state.channel);
    return state.place.notice ? farewell(state.place.notice) : nothing();
  }

  function beginning(channel) {
    const title = state.title(channel);
    const direct = channel.type === "dm";
    return h(
      ".start",
      {},
      h("h3", {}, direct ? title : `#${title}`),
      h("p", {}, channel.topic || (direct ? "Only the two of you read this." : "This is where it begins.")),
    );
  }

  function farewell({ server, why }) {
    const [title, text] =
      why === "kicked"
        ? [
            `You were removed from ${server.name}`,
            "Its channels are closed to you. Your messages there stay. A member can invite you again.",
          ]
        : [
            `${server.name} is gone`,
            why === "deleted" ? "Its owner deleted it, with everything in it." : "You are no longer a member.",
          ];
    return h(
      ".empty.farewell",
      { role: "alert" },
      cat({ asleep: true }),
      h("h3", {}, title),
      h("p", {}, text),
      h(
        "button.primary",
        { type: "button", onclick: () => session.open([...state.servers.keys()][0] ?? null) },
        "All right",
      ),
    );
  }

  function nothing() {
    const button = (text, run) => h("button.primary", { type: "button", onclick: () => run(session) }, text);
    const [title, text, next] = state.server
      ? ["It is quiet here", "No channel is open to you here."]
      : state.servers.size
        ? ["It is quiet here", "Pick a conversation, or start one.", button("Talk to a person", newDirect)]
        : ["Welcome", "You are in no server yet. Join one, and say hello.", button("Join a server", discover)];
    return h(".empty", {}, cat({ asleep: Boolean(state.servers.size) }), h("h3", {}, title), h("p", {}, text), next);
  }

  /** Arrow keys move between messages. Tab then moves to the actions of the focused one. */
  function walk(event) {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (!step || !event.target.matches("article")) return;
    const articles = [...list.querySelectorAll("article")];
    articles[articles.indexOf(event.target) + step]?.focus();
    event.preventDefault();
  }

  function rove() {
    const articles = list.querySelectorAll("article");
    articles.forEach((article, index) => (article.tabIndex = index === articles.length - 1 ? 0 : -1));
  }

  return () => {
    drawHead();
    drawBanner();
    drawMessages();
  };
}

function dayName(day) {
  const date = new Date(day);
  const days = Math.round((new Date(new Date().toDateString()) - date) / 86_400_000);
  if (days < 2) return ["Today", "Yesterday"][days] ?? "Today";
  return date.toLocaleDateString(undefined, {
    weekday: "long",
    day: "numeric",
    month: "long",
    year: days > 300 ? "numeric" : undefined,
  });
}
