/** One person's session: the socket, what is loaded over REST, and the order in which both reach the state. */

import { address, Api, at } from "./api.js";
import { Socket } from "./socket.js";
import { State } from "./state.js";

export class Session {
  state = new State();
  #socket;
  #queue = Promise.resolve(); // events and loads run one after another: none overtakes, none is half done
  #recovered = false; // the server replays what this connection missed
  #loaded = false;
  #scheduled = false;
  #renewable = true;
  #lastChannel = new Map(); // server id or null → the channel looked at last

  /**
   * @param {Api} api            with the person's token
   * @param {object} user        the person
   * @param {{onChange, onNotice, onRenewed, onEnd}} hooks  draw again; say something; a new token; the session is over, and why
   */
  constructor(api, user, hooks) {
    this.api = api;
    this.state.me = user;
    this.state.meet([user]);
    this.hooks = hooks;
    this.#remember(restore(user.id));
    this.#socket = new Socket({
      url: address("/socket.io/"),
      auth: () => ({ token: api.token }),
      onState: (state, detail) => this.#connection(state, detail),
    });
    for (const [event, handler] of Object.entries(this.#events)) {
      this.#socket.on(event, (payload) => this.#enqueue(() => handler(payload)));
    }
    addEventListener("visibilitychange", () => document.hidden || this.#seen());
    this.#socket.connect();
  }

  /** Reconnect without waiting for the next attempt. */
  reconnect = () => this.#socket.connect();

  close = () => this.#socket.close();

  /** Send a message over the socket instead of REST: no answer, but the event that everybody gets. */
  say = (message) => this.#socket.emit("message/create", message);

  // What the server tells: PROTOCOLS "Mew", one line an event.
  #events = {
    PRESENCE_INITIAL_STATE: (userIds) => void (this.state.online = new Set(userIds)),
    PRESENCE_UPDATE: ({ userId, status }) => void this.state.online[status === "online" ? "add" : "delete"](userId),
    ready: () => (this.#recovered && this.#loaded) || this.#load(),
    error: ({ message }) => this.hooks.onNotice(message, { bad: true }),
    MESSAGE_CREATE: (message) => this.#arrived(message),
    MESSAGE_UPDATE: (message) => this.state.put(message),
    MESSAGE_REACTION_ADD: (message) => this.state.put(message),
    MESSAGE_REACTION_REMOVE: (message) => this.state.put(message),
    CHANNEL_UPDATE: (channel) => this.#replace("channels", channel), // hidden channels are announced too: not ours to show
    CHANNEL_DELETE: ({ channelId }) => this.#vanished(channelId, "was deleted"),
    CATEGORY_UPDATE: (category) => this.#put("categories", category),
    CATEGORY_DELETE: ({ categoryId }) => this.#remove("categories", categoryId),
    STICKER_CREATE: (sticker) => this.#put("stickers", sticker),
    STICKER_UPDATE: (sticker) => this.#put("stickers", sticker),
    STICKER_DELETE: ({ stickerId }) => this.#remove("stickers", stickerId),
    DM_CHANNEL_CREATE: (channel) => this.#meetDm(channel),
    SERVER_UPDATE: (server) => void Object.assign(this.state.servers.get(server.id) ?? {}, server),
    SERVER_DELETE: ({ serverId }) => this.left(serverId, "deleted"),
    SERVER_KICK: ({ serverId }) => this.left(serverId, "kicked"),
    MEMBER_JOIN: ({ serverId, userId }) => this.#joined(serverId, userId),
    MEMBER_LEAVE: ({ serverId, userId }) => void this.state.servers.get(serverId)?.members.delete(userId),
    PERMISSIONS_UPDATE: ({ serverId }) => this.#loadServer(serverId),
  };

  /** Show a channel; without one, the last looked at of the server (or of the DMs: null). */
  open(serverId, channelId = this.#lastChannel.get(serverId)) {
    const { state } = this;
    const channels = serverId
      ? state.shelves(state.servers.get(serverId)).flatMap(([, shelf]) => shelf)
      : [...state.dms.values()];
    const channel = channels.find(({ id }) => id === channelId) ?? (serverId ? channels[0] : undefined);
    state.place = { serverId, channelId: channel?.id ?? null, notice: null };
    state.draft = { replyTo: null, editing: null };
    this.#lastChannel.set(serverId, channel?.id);
    state.newSince = state.unread.get(channel?.id)?.since ?? null;
    this.#seen();
    if (channel && !state.messages.has(channel.id)) this.#enqueue(() => this.#history(channel.id));
    this.changed();
  }

  /** Load what came before the oldest message shown. */
  earlier = (channelId) => this.#enqueue(() => this.#history(channelId, this.state.messages.get(channelId)?.[0]?.id));

  /** Do something over REST; a failure is told, not thrown. Returns the answer, or null. */
  async attempt(action) {
    try {
      return await action(this.api);
    } catch (error) {
      this.hooks.onNotice(error.message, { bad: true });
      return null;
    }
  }

  /** Talk to somebody directly. */
  async direct(userId) {
    const channel = await this.attempt((api) => api.post(at("/users/{}/dm", userId)));
    if (!channel) return;
    this.#meetDm(channel);
    this.open(null, channel.id);
  }

  /** Show a server this window just created or joined, without waiting for the event. */
  enter = (serverId, channelId) =>
    this.#enqueue(async () => {
      await this.#loadServer(serverId);
      this.open(serverId, channelId);
    });

  /** A server is gone for us, and why: "kicked", "deleted", "gone" (found so after an absence), or "left" by ourselves. */
  left(serverId, why) {
    const server = this.state.servers.get(serverId);
    if (!server) return;
    this.state.forgetServer(serverId);
    if (this.state.place.serverId === serverId) {
      this.open(null, null);
      if (why !== "left") this.state.place.notice = { server, why };
    } else if (why !== "left") {
      this.hooks.onNotice(why === "kicked" ? `You were removed from ${server.name}.` : `${server.name} is gone.`, {
        bad: true,
        stays: true,
      });
    }
    this.changed();
  }

  /** Show a message this window sent without waiting for its event, which may be late when we are reconnecting. */
  sent(message) {
    const known = this.state.messages.get(message.channelId)?.some(({ id }) => id === message.id);
    if (!known) this.state.put(message, { create: true });
    this.changed();
  }

  changed() {
    if (this.#scheduled) return;
    this.#scheduled = true;
    queueMicrotask(() => {
      this.#scheduled = false;
      keep(this.state.me.id, [...this.state.unread], this.state.place);
      this.hooks.onChange();
    });
  }

  #enqueue(step) {
    this.#queue = this.#queue.then(step).catch((error) => {
      if (error.status === 404) return; // gone in between: the event that says so is behind us in the queue
      console.error(error);
      this.hooks.onNotice(error.message, { bad: true });
    });
    return this.#queue.then(() => this.changed());
  }

  #connection(state, detail) {
    const before = this.state.connection;
    const waited = before.state !== "live";
    this.state.connection = { state, detail, again: before.again || !waited };
    if (state === "live") [this.#recovered, this.#renewable] = [detail.recovered, true];
    if (state === "refused") this.#refused(detail, waited);
    this.changed();
  }

  /** A development server that restarted may have a new secret: ask for a new token, once. Anything else is the end. */
  async #refused({ message, data }, waited) {
    if (waited && this.#renewable && data?.code === "UNAUTHORIZED") {
      this.#renewable = false;
      const renewed = await new Api().post("/dev/token", { userId: this.state.me.id }).catch(() => null);
      if (renewed) {
        this.api.token = renewed.token;
        this.hooks.onRenewed(renewed.token);
        return this.#socket.connect();
      }
    }
    this.hooks.onEnd(message);
  }

  async #load() {
    this.#loaded = false;
    const [servers, dms] = await Promise.all([this.api.get("/servers"), this.api.get("/dms")]);
    const { state } = this;
    state.messages.clear();
    state.complete.clear();
    state.dms = new Map(dms.map((channel) => [channel.id, channel]));
    dms.forEach((channel) => state.meet(channel.recipients));
    for (const id of state.servers.keys()) if (!servers.some((server) => server.id === id)) this.left(id, "gone");
    await Promise.all(servers.map(({ id }) => this.#loadServer(id)));
    const { serverId, channelId, notice } = state.place;
    if (!notice)
      this.open(
        serverId === undefined ? (servers[0]?.id ?? null) : state.servers.has(serverId) ? serverId : null,
        channelId,
      );
    this.#loaded = true;
  }

  async #loadServer(serverId) {
    const parts = ["", "/channels", "/categories", "/stickers", "/members", "/roles", "/permissions"];
    const path = at("/servers/{}", serverId);
    const [server, channels, categories, stickers, members, roles, may] = await Promise.all(
      parts.map((part) => this.api.get(path + part)),
    );
    const { state } = this;
    const before = state.servers.get(serverId);
    state.meet(members.map(({ user }) => user));
    state.servers.set(serverId, {
      ...server,
      channels: byId(channels),
      categories: byId(categories),
      stickers: byId(stickers),
      members: new Map(members.map((member) => [member.userId, member])),
      roles: byId(roles),
      may: new Set(may.permissions),
      mayIn: new Map(Object.entries(may.channels).map(([id, names]) => [id, new Set(names)])),
    });
    for (const channel of before?.channels.values() ?? []) {
      if (state.find(channel.id)) continue;
      before.channels.delete(channel.id);
      state.servers.get(serverId).channels.set(channel.id, channel);
      this.#vanished(channel.id, "is no longer open to you");
    }
  }

  async #history(channelId, before) {
    const page = 50;
    const older = await this.api.get(
      at("/channels/{}/messages", channelId) + `?limit=${page}` + (before ? at("&before={}", before) : ""),
    );
    const { state } = this;
    if (!state.find(channelId)) return;
    state.meet(older.map(({ author }) => author));
    const known = before ? (state.messages.get(channelId) ?? []) : [];
    state.messages.set(channelId, [...older, ...known]);
    if (older.length < page) state.complete.add(channelId);
  }

  async #arrived(message) {
    const { state } = this;
    state.meet([message.author]);
    if (!message.serverId && !state.dms.has(message.channelId))
      this.#meetDm(await this.api.get(at("/channels/{}", message.channelId)));
    state.put(message, { create: true });
    state.touched.set(message.channelId, message.createdAt);
    if (message.authorId === state.me.id) return;
    const looking = message.channelId === state.place.channelId && !document.hidden;
    if (!looking) state.count(message);
    if (!looking && message.channelId === state.place.channelId) state.newSince ??= message.id;
  }

  async #joined(serverId, userId) {
    const server = this.state.servers.get(serverId);
    if (!server || userId === this.state.me.id) return this.#loadServer(serverId);
    const members = await this.api.get(at("/servers/{}/members", serverId));
    this.state.meet(members.map(({ user }) => user));
    server.members = new Map(members.map((member) => [member.userId, member]));
  }

  #meetDm(channel) {
    this.state.dms.set(channel.id, channel);
    this.state.meet(channel.recipients);
  }

  #put(shelf, thing) {
    this.state.servers.get(thing.serverId)?.[shelf].set(thing.id, thing);
  }

  #replace(shelf, thing) {
    if (this.state.servers.get(thing.serverId)?.[shelf].has(thing.id)) this.#put(shelf, thing);
  }

  #remove(shelf, id) {
    for (const server of this.state.servers.values()) server[shelf].delete(id);
  }

  #vanished(channelId, why) {
    const channel = this.state.find(channelId);
    if (!channel) return;
    this.state.forgetChannel(channelId);
    if (this.state.place.channelId !== channelId) return;
    this.hooks.onNotice(`#${channel.name} ${why}.`);
    this.open(channel.serverId);
  }

  #seen() {
    if (!document.hidden && this.state.unread.delete(this.state.place.channelId)) this.changed();
  }

  #remember({ unread = [], place }) {
    this.state.unread = new Map(unread);
    this.state.place = { ...this.state.place, ...place };
  }
}

const byId = (things) => new Map(things.map((thing) => [thing.id, thing]));

// What a reload of this window should find again. sessionStorage is per window, so two windows can be two people.
function keep(userId, unread, { serverId, channelId }) {
  sessionStorage.setItem(`mew:${userId}`, JSON.stringify({ unread, place: { serverId, channelId } }));
}

function restore(userId) {
  return JSON.parse(sessionStorage.getItem(`mew:${userId}`) ?? "{}");
}
