/** A user's session: the socket, the queue of events and loads, and the channel shown. */

import { address, Api, at } from "./api.js";
import { events } from "./events.js";
import { loadHistory, loadServer, unlessGone } from "./loading.js";
import { Socket } from "./socket.js";
import { State } from "./state.js";

export class Session {
  state = new State();
  #socket;
  #queue = Promise.resolve(); // events and loads run one after another, in order
  #recovered = false; // the server replays what this connection missed
  #loaded = false; // and the state that it adds to is loaded
  #drawing = false;
  #renewable = true;
  #lastChannel = new Map(); // server id or null → the channel shown last

  /**
   * @param {Api} api      with the user's token
   * @param {object} user  the user
   * @param hooks          onChange: draw again; onNotice: show; onRenewed: a new token; onEnd: ended, with a reason
   */
  constructor(api, user, hooks) {
    this.api = api;
    this.hooks = hooks;
    this.state.me = user;
    this.state.meet([user]);
    Object.assign(this.state, restore(user.id));
    this.#socket = new Socket({
      url: address("/socket.io/"),
      auth: () => ({ token: api.token }),
      onState: (state, detail) => this.#connection(state, detail),
    });
    for (const [event, handler] of Object.entries(events(this))) {
      this.#socket.on(event, (payload) => this.#enqueue(() => handler(payload)));
    }
    addEventListener("visibilitychange", () => this.#seen());
    this.#socket.connect();
  }

  /** Reconnect without waiting for the next attempt. */
  reconnect = () => this.#socket.connect();

  close = () => this.#socket.close();

  // --- what is shown

  /** Show a channel. Without one, show the last one of the server, or of the DMs (null). */
  open(serverId, channelId = this.#lastChannel.get(serverId)) {
    const { state } = this;
    const channels = state.channelsOf(serverId);
    const channel = channels.find(({ id }) => id === channelId) ?? (serverId ? channels[0] : undefined);
    state.place = { serverId, channelId: channel?.id ?? null, notice: null };
    state.draft = { replyTo: null, editing: null };
    state.newSince = state.unread.get(channel?.id)?.since ?? null;
    this.#lastChannel.set(serverId, channel?.id);
    this.#seen();
    if (channel && !state.messages.has(channel.id)) this.#enqueue(() => loadHistory(this, channel.id));
    this.changed();
  }

  /** Show a server this window just created or joined, without waiting for the event. */
  enter(serverId, channelId) {
    return this.#enqueue(async () => {
      await loadServer(this, serverId);
      this.open(serverId, channelId);
    });
  }

  /** Open a direct conversation. */
  async direct(userId) {
    const channel = await this.attempt((api) => api.post(at("/users/{}/dm", userId)));
    if (!channel) return;
    this.state.putDm(channel);
    this.open(null, channel.id);
  }

  /** Load messages before the oldest one shown. */
  earlier(channelId) {
    return this.#enqueue(() => loadHistory(this, channelId, this.state.messages.get(channelId)?.[0]?.id));
  }

  // --- actions of the user

  /** Call REST. A failure is shown, not thrown. Resolves with the answer, or null. */
  async attempt(action) {
    try {
      return await action(this.api);
    } catch (error) {
      this.hooks.onNotice(error.message, { bad: true });
      return null;
    }
  }

  /** Send a message over the socket. The answer is the event that all clients receive. False: not connected. */
  say(message) {
    return this.#socket.emit("message/create", message);
  }

  /** Get the events of a channel since its messages were loaded again. False: they must be loaded again. */
  async follow(channelId) {
    const position = this.state.positions.get(channelId);
    return Boolean(position && (await this.#socket.ask("channel/follow", { channelId, position }))?.success);
  }

  /** Show a message that this window sent without waiting for its event, which is late during a reconnection. */
  sent(message) {
    const known = this.state.messages.get(message.channelId)?.some(({ id }) => id === message.id);
    if (!known) this.state.put(message, { create: true });
    this.changed();
  }

  // --- changes by others

  /** The server has joined the rooms: load, unless the connection was recovered. */
  async ready(load) {
    if (this.#recovered && this.#loaded) return;
    this.#loaded = false;
    await load();
    this.#loaded = true;
  }

  /** The user is no longer in a server: "kicked", "deleted", "gone" (noticed after a reconnection), or "left". */
  left(serverId, why) {
    const server = this.state.servers.get(serverId);
    if (!server) return;
    const here = this.state.place.serverId === serverId;
    this.state.forgetServer(serverId);
    if (here) this.open(null, null);
    if (here && why !== "left") this.state.place.notice = { server, why };
    const text = why === "kicked" ? `You were removed from ${server.name}.` : `${server.name} is gone.`;
    if (!here && why !== "left") this.hooks.onNotice(text, { bad: true, stays: true });
    this.changed();
  }

  /** A channel is no longer visible. If it is shown, a notice gives the reason. */
  vanished(channelId, why) {
    const channel = this.state.find(channelId);
    if (!channel) return;
    this.state.forgetChannel(channelId);
    if (this.state.place.channelId !== channelId) return;
    this.hooks.onNotice(`#${channel.name} ${why}.`);
    this.open(channel.serverId);
  }

  /** Draw the page, once for all current changes. */
  changed() {
    if (this.#drawing) return;
    this.#drawing = true;
    queueMicrotask(() => {
      this.#drawing = false;
      keep(this.state);
      this.hooks.onChange();
    });
  }

  #enqueue(step) {
    this.#queue = this.#queue
      .then(step)
      .catch(unlessGone)
      .catch((error) => {
        console.error(error);
        this.hooks.onNotice(error.message, { bad: true });
      });
    return this.#queue.then(() => this.changed());
  }

  #seen() {
    if (!document.hidden && this.state.unread.delete(this.state.place.channelId)) this.changed();
  }

  #connection(name, detail) {
    const { state: before, again } = this.state.connection;
    this.state.connection = { state: name, detail, again: again || before === "live" };
    if (name === "live") [this.#recovered, this.#renewable] = [detail.recovered, true];
    if (name === "refused") this.#refused(detail, before === "live");
    this.changed();
  }

  /**
   * The server no longer accepts the token. A development server has a new secret after a restart, so a new token
   * is requested once. A disconnect while connected was intended, so then none is requested.
   */
  async #refused({ message, data }, cutOff) {
    const renewable = this.#renewable && !cutOff && data?.code === "UNAUTHORIZED";
    this.#renewable = false;
    const userId = this.state.me.id;
    const renewed = renewable && (await new Api().post("/dev/token", { userId }).catch(() => null));
    if (!renewed) return this.hooks.onEnd(cutOff ? "The server ended your session." : `The server said: ${message}.`);
    this.api.token = renewed.token;
    this.hooks.onRenewed(renewed.token);
    this.#socket.connect();
  }
}

// Kept for a reload of this window. sessionStorage is per window, so two windows can have two users.
function keep({ me, unread, newest, place: { serverId, channelId } }) {
  const kept = { unread: [...unread], newest: [...newest], place: { serverId, channelId } };
  sessionStorage.setItem(`mew:${me.id}`, JSON.stringify(kept));
}

function restore(userId) {
  const kept = JSON.parse(sessionStorage.getItem(`mew:${userId}`));
  if (!kept) return {};
  return { unread: new Map(kept.unread), newest: new Map(kept.newest), place: { ...kept.place, notice: null } };
}
