/** Loads data over REST. Each load runs in the session's queue, so no event is applied during one. */

import { at } from "./api.js";
import { byId } from "./state.js";

const PAGE = 50; // messages

/** Load everything, after a connection that cannot replay what was missed. */
export async function load(session) {
  const { api, state } = session;
  const [servers, dms] = await Promise.all([api.get("/servers"), api.get("/dms")]);
  state.dms = byId(dms);
  dms.forEach(({ recipients }) => state.meet(recipients));
  const ids = servers.map(({ id }) => id);
  for (const id of state.servers.keys()) if (!ids.includes(id)) session.left(id, "gone");
  for (const id of ids) await loadServer(session, id).catch(unlessGone);
  for (const id of [...state.unread.keys(), ...state.newest.keys()]) if (!state.find(id)) state.forgetChannel(id);
  await Promise.all([...state.newest.keys()].map((id) => countMissed(session, id)));
  await Promise.all([...state.messages.keys()].map((id) => addMissed(session, id)));
  const { serverId, channelId, notice } = state.place;
  if (notice) return; // the user has not read it yet
  if (serverId === undefined) session.open(state.servers.keys().next().value ?? null);
  else session.open(state.servers.has(serverId) ? serverId : null, channelId);
}

/** Count the messages in a channel since the last one known. */
async function countMissed({ api, state }, channelId) {
  const latest = await api.get(`${at("/channels/{}/messages", channelId)}?limit=${PAGE}`);
  const missed = latest.filter(({ id, authorId }) => id > state.newest.get(channelId) && authorId !== state.me.id);
  missed.forEach((message) => state.count(message));
  state.newest.set(channelId, latest.at(-1)?.id ?? "");
}

/** Have the server send what was missed in a channel that was opened. If it cannot, the channel is loaded again. */
async function addMissed(session, channelId) {
  if (!(await session.follow(channelId))) session.state.forgetMessages(channelId);
}

/** Load one server with everything that the user may see. Leaves channels that are no longer visible. */
export async function loadServer(session, serverId) {
  const { api, state } = session;
  const path = at("/servers/{}", serverId);
  const parts = ["", "/channels", "/categories", "/stickers", "/members", "/roles", "/permissions"];
  const answers = await Promise.all(parts.map((part) => api.get(path + part)));
  const [server, channels, categories, stickers, members, roles, permissions] = answers;
  const closed = [...(state.servers.get(serverId)?.channels.keys() ?? [])].filter((id) => !byId(channels).has(id));
  for (const channelId of closed) session.vanished(channelId, "is no longer open to you");
  state.servers.set(serverId, {
    ...server,
    channels: byId(channels),
    categories: byId(categories),
    stickers: byId(stickers),
    roles: byId(roles),
    may: new Set(permissions.permissions),
    mayIn: new Map(Object.entries(permissions.channels).map(([id, names]) => [id, new Set(names)])),
    members: seen(state, members),
  });
}

/** Load the members of a server. */
export async function loadMembers(session, serverId) {
  const members = await session.api.get(at("/servers/{}/members", serverId));
  session.state.servers.get(serverId).members = seen(session.state, members);
}

/** Load the newest messages of a channel, or those before one of them. */
export async function loadHistory({ api, state }, channelId, before) {
  const query = `?limit=${PAGE}${before ? at("&before={}", before) : ""}`;
  const [older, position] = await api.snapshot(at("/channels/{}/messages", channelId) + query);
  if (!state.find(channelId)) return;
  state.meet(older.map(({ author }) => author));
  state.messages.set(channelId, [...older, ...(before ? (state.messages.get(channelId) ?? []) : [])]);
  if (!before) {
    state.newest.set(channelId, older.at(-1)?.id ?? "");
    state.positions.set(channelId, position);
  }
  if (older.length < PAGE) state.complete.add(channelId);
}

/** No error if something no longer exists: an event about it will arrive. */
export function unlessGone(error) {
  if (error.status !== 404) throw error;
}

function seen(state, members) {
  state.meet(members.map(({ user }) => user));
  return new Map(members.map((member) => [member.userId, member]));
}
