/** The events of the server, and what each changes. */

import { at } from "./api.js";
import { load, loadMembers, loadServer } from "./loading.js";

/** Handlers by event. Later events wait for a handler that returns a promise. */
export function events(session) {
  const { api, state } = session;

  async function arrived(message) {
    const { channelId } = message;
    if (!message.serverId && !state.dms.has(channelId)) state.putDm(await api.get(at("/channels/{}", channelId)));
    const isKnown = message.id <= (state.newest.get(channelId) ?? ""); // ids sort by time
    state.put(message, { create: true });
    if (isKnown) return; // it came before, or was counted: this is an answer to channel/follow
    state.touched.set(channelId, message.createdAt);
    state.newest.set(channelId, message.id);
    const open = channelId === state.place.channelId;
    if (message.authorId === state.me.id || (open && !document.hidden)) return;
    state.count(message);
    if (open) state.newSince ??= message.id;
  }

  function joined({ serverId, userId }) {
    const known = state.servers.has(serverId) && userId !== state.me.id;
    return known ? loadMembers(session, serverId) : loadServer(session, serverId);
  }

  return {
    PRESENCE_INITIAL_STATE: (userIds) => void (state.online = new Set(userIds)),
    PRESENCE_UPDATE: ({ userId, status }) => void state.online[status === "online" ? "add" : "delete"](userId),
    ready: () => session.ready(() => load(session)),
    error: ({ message }) => session.hooks.onNotice(message, { bad: true }),

    MESSAGE_CREATE: arrived,
    MESSAGE_UPDATE: (message) => state.put(message),
    MESSAGE_REACTION_ADD: (message) => state.put(message),
    MESSAGE_REACTION_REMOVE: (message) => state.put(message),

    // All members receive updates of a hidden channel too. It is shown only after PERMISSIONS_UPDATE made it visible.
    CHANNEL_UPDATE: (channel) => state.find(channel.id) && state.putIn("channels", channel),
    CHANNEL_DELETE: ({ channelId }) => session.vanished(channelId, "was deleted"),
    DM_CHANNEL_CREATE: (channel) => state.putDm(channel),
    CATEGORY_UPDATE: (category) => state.putIn("categories", category),
    CATEGORY_DELETE: ({ categoryId }) => state.deleteFrom("categories", categoryId),
    STICKER_CREATE: (sticker) => state.putIn("stickers", sticker),
    STICKER_UPDATE: (sticker) => state.putIn("stickers", sticker),
    STICKER_DELETE: ({ stickerId }) => state.deleteFrom("stickers", stickerId),

    SERVER_UPDATE: (server) => void Object.assign(state.servers.get(server.id) ?? {}, server),
    SERVER_DELETE: ({ serverId }) => session.left(serverId, "deleted"),
    SERVER_KICK: ({ serverId }) => session.left(serverId, "kicked"),
    MEMBER_JOIN: joined,
    MEMBER_LEAVE: ({ serverId, userId }) => void state.servers.get(serverId)?.members.delete(userId),
    PERMISSIONS_UPDATE: ({ serverId }) => loadServer(session, serverId),
  };
}
