/** The state of this window, and how each event changes it. No I/O: the session writes it, the views read it. */

export class State {
  me = null;
  connection = { state: "connecting", detail: {}, again: false }; // again: it was live before
  users = new Map(); // id → User
  online = new Set(); // user ids
  servers = new Map(); // id → Server with its channels, categories, stickers, members, and the user's permissions
  dms = new Map(); // id → Channel with recipients
  messages = new Map(); // channel id → its messages in order, only for channels that were opened
  positions = new Map(); // channel id → the position in the history of events at which its messages were loaded
  complete = new Set(); // channel ids whose first message is loaded
  unread = new Map(); // channel id → {count, since: id of the first}
  newest = new Map(); // channel id → id of the newest message known
  touched = new Map(); // channel id → time of its newest message: the order of DMs
  /** What is shown. A `serverId` of null means the DMs, undefined nothing yet. */
  place = { serverId: undefined, channelId: undefined, notice: null };
  newSince = null; // id of the message below the "New" line
  draft = { replyTo: null, editing: null }; // message ids that the composer refers to

  /** The channel shown, or undefined. */
  get channel() {
    return this.find(this.place.channelId);
  }

  /** The server shown, or undefined. */
  get server() {
    return this.servers.get(this.place.serverId);
  }

  /** A channel by id, in any server or DM. */
  find(channelId) {
    if (this.dms.has(channelId)) return this.dms.get(channelId);
    const server = [...this.servers.values()].find(({ channels }) => channels.has(channelId));
    return server?.channels.get(channelId);
  }

  /** Whether the user has a permission in the server or a channel. In a DM, users may write but not moderate. */
  may(permission, serverId, channelId) {
    if (!serverId) return permission === "SEND_MESSAGES" || permission === "ADD_REACTIONS";
    const server = this.servers.get(serverId);
    return Boolean((server?.mayIn.get(channelId) ?? server?.may)?.has(permission));
  }

  name(userId) {
    return this.users.get(userId)?.displayName ?? userId;
  }

  meet(users) {
    for (const user of users) if (user) this.users.set(user.id, user);
  }

  /** The other users of a DM. */
  others(channel) {
    return channel.recipients.filter(({ id }) => id !== this.me.id);
  }

  title(channel) {
    if (channel.type !== "dm") return channel.name;
    const names = this.others(channel).map(({ id }) => this.name(id));
    return names.join(", ") || "Notes to self";
  }

  /** Insert or replace a message. Unknown older ones are loaded with the history. */
  put(message, { create = false } = {}) {
    this.meet([message.author]);
    const list = this.messages.get(message.channelId);
    if (!list) return;
    const index = list.findIndex(({ id }) => id === message.id);
    if (index >= 0) list[index] = message;
    else if (create) {
      list.push(message);
      list.sort((one, other) => (one.id < other.id ? -1 : 1)); // ids sort by time
    }
  }

  /** Count an unread message. */
  count(message) {
    const known = this.unread.get(message.channelId) ?? { count: 0, since: message.id };
    this.unread.set(message.channelId, { ...known, count: known.count + 1 });
  }

  get unreadTotal() {
    return this.#unread([...this.unread.keys()]);
  }

  /** Unread messages of a server, or of the DMs (null). */
  unreadIn(serverId) {
    return this.#unread([...(serverId ? this.servers.get(serverId).channels : this.dms).keys()]);
  }

  #unread(channelIds) {
    return channelIds.reduce((sum, id) => sum + (this.unread.get(id)?.count ?? 0), 0);
  }

  /** Insert or replace a channel, category or sticker of a server. */
  putIn(kind, thing) {
    this.servers.get(thing.serverId)?.[kind].set(thing.id, thing);
  }

  deleteFrom(kind, id) {
    for (const server of this.servers.values()) server[kind].delete(id);
  }

  putDm(channel) {
    this.dms.set(channel.id, channel);
    this.meet(channel.recipients);
  }

  forgetChannel(channelId) {
    this.forgetMessages(channelId);
    for (const map of [this.dms, this.unread, this.newest, this.touched]) map.delete(channelId);
    for (const server of this.servers.values()) server.channels.delete(channelId);
  }

  /** The messages must be loaded again when the channel is opened. */
  forgetMessages(channelId) {
    for (const loaded of [this.messages, this.positions, this.complete]) loaded.delete(channelId);
  }

  forgetServer(serverId) {
    for (const channelId of this.servers.get(serverId)?.channels.keys() ?? []) this.forgetChannel(channelId);
    this.servers.delete(serverId);
  }

  /** The channels of a server for the sidebar: [category or null, its channels]. */
  shelves(server) {
    const byPosition = (one, other) => one.position - other.position || one.name.localeCompare(other.name);
    const channels = [...server.channels.values()].sort(byPosition);
    const shelfOf = ({ categoryId }) => server.categories.get(categoryId) ?? null;
    return [null, ...[...server.categories.values()].sort(byPosition)].map((category) => [
      category,
      channels.filter((channel) => shelfOf(channel) === category),
    ]);
  }

  /** The channels of a server from top to bottom (null: the DMs, the most recent first). */
  channelsOf(serverId) {
    if (serverId) return this.shelves(this.servers.get(serverId)).flatMap(([, channels]) => channels);
    const latest = ({ id, createdAt }) => this.touched.get(id) ?? createdAt;
    return [...this.dms.values()].sort((one, other) => (latest(one) < latest(other) ? 1 : -1));
  }
}

export const byId = (things) => new Map(things.map((thing) => [thing.id, thing]));
