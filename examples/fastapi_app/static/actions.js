/** What people do through menus and dialogs. Each ends in one REST call; what it changed arrives as an event. */

import { at } from "./api.js";
import { ask, menu } from "./dialogs.js";

const name = (label, value) => ({ name: "name", label, value });
const named = (things) => [...things.values()].map(({ id, name }) => [id, name]);

// --- servers

export async function newServer(session) {
  const values = await ask({
    title: "A new server",
    text: "A place of your own. You decide who comes in.",
    fields: [name("Name")],
    action: "Create",
  });
  if (!values) return;
  await session.attempt(async (api) => {
    const server = await api.post("/servers", values);
    await api.post(at("/servers/{}/channels", server.id), { name: "general" });
    await session.enter(server.id);
  });
}

export async function discover(session) {
  const open = await session.attempt((api) => api.get("/servers/discover"));
  if (!open) return;
  if (!open.length)
    return ask({ title: "Join a server", text: "You are in every server there is.", action: "All right" });
  const values = await ask({
    title: "Join a server",
    fields: [{ name: "serverId", label: "Server", options: open.map(({ id, name }) => [id, name]) }],
    action: "Join",
  });
  if (!values) return;
  if (await session.attempt((api) => api.post(at("/servers/{}/members", values.serverId))))
    session.enter(values.serverId);
}

export function serverMenu(session, anchor) {
  const { server, me } = session.state;
  const may = (permission) => session.state.may(permission, server.id);
  menu(anchor, [
    may("MANAGE_CHANNELS") && { text: "New channel", icon: "hash", run: () => newChannel(session) },
    may("MANAGE_CHANNELS") && { text: "New category", icon: "plus", run: () => newCategory(session) },
    may("INVITE_MEMBERS") && { text: "Invite somebody", icon: "people", run: () => invite(session) },
    may("MANAGE_SERVER") && { text: "Rename server", icon: "edit", run: () => renameServer(session, server) },
    server.ownerId !== me.id && {
      text: "Leave server",
      icon: "exit",
      danger: true,
      run: () => leaveServer(session, server),
    },
    server.ownerId === me.id && {
      text: "Delete server",
      icon: "bin",
      danger: true,
      run: () => deleteServer(session, server),
    },
  ]);
}

async function renameServer(session, server) {
  const values = await ask({ title: "Rename server", fields: [name("Name", server.name)] });
  if (values) await session.attempt((api) => api.patch(at("/servers/{}", server.id), values));
}

async function leaveServer(session, server) {
  if (
    !(await ask({
      title: `Leave ${server.name}?`,
      text: "You can join again, or be invited.",
      action: "Leave",
      danger: true,
    }))
  )
    return;
  if (await session.attempt((api) => api.delete(at("/servers/{}/members/{}", server.id, session.state.me.id))))
    session.left(server.id, "left");
}

async function deleteServer(session, server) {
  const sure = await ask({
    title: `Delete ${server.name}?`,
    text: "Its channels and messages go with it, for everybody.",
    action: "Delete",
    danger: true,
  });
  if (sure) await session.attempt((api) => api.delete(at("/servers/{}", server.id)));
}

// --- channels and categories

export async function newChannel(session, categoryId = "") {
  const { server } = session.state;
  const fields = [
    name("Name"),
    server.categories.size > 0 && {
      name: "categoryId",
      label: "Category",
      value: categoryId,
      options: [["", "None"], ...named(server.categories)],
    },
    { name: "private", label: "Private: only you, until you let others in", type: "check" },
  ].filter(Boolean);
  const values = await ask({ title: "New channel", fields, action: "Create" });
  if (!values) return;
  const channel = await session.attempt((api) =>
    api.post(at("/servers/{}/channels", server.id), { ...values, categoryId: values.categoryId || null }),
  );
  if (channel) session.enter(server.id, channel.id);
}

export function channelMenu(session, anchor, channel) {
  const may = (what) => session.state.may(what, channel.serverId, channel.id);
  menu(anchor, [
    { text: "Edit channel", icon: "edit", run: () => editChannel(session, channel) },
    may("MANAGE_ROLES") && { text: "Who can see it", icon: "lock", run: () => audience(session, channel) },
    { text: "Delete channel", icon: "bin", danger: true, run: () => deleteChannel(session, channel) },
  ]);
}

async function editChannel(session, channel) {
  const { categories } = session.state.servers.get(channel.serverId);
  const fields = [
    name("Name", channel.name),
    { name: "topic", label: "Topic", value: channel.topic ?? "", required: false, max: 1000 },
    {
      name: "categoryId",
      label: "Category",
      value: channel.categoryId ?? "",
      options: [["", "None"], ...named(categories)],
    },
  ];
  const values = await ask({ title: `Edit #${channel.name}`, fields });
  if (values)
    await session.attempt((api) =>
      api.patch(at("/channels/{}", channel.id), { ...values, categoryId: values.categoryId || null }),
    );
}

async function deleteChannel(session, channel) {
  const sure = await ask({
    title: `Delete #${channel.name}?`,
    text: "Its messages go with it, for everybody.",
    action: "Delete",
    danger: true,
  });
  if (sure) await session.attempt((api) => api.delete(at("/channels/{}", channel.id)));
}

/** Let people see a channel or not: for each a tick; only the ticks that changed are sent. */
async function audience(session, channel) {
  const { state } = session;
  const server = state.servers.get(channel.serverId);
  const path = at("/channels/{}/permissions", channel.id);
  const overrides = await session.attempt((api) => api.get(path));
  if (!overrides) return;
  const people = [...server.members.values()].filter(({ userId }) => userId !== server.ownerId);
  const sees = ({ userId, roleIds }) => {
    const says = (target) =>
      overrides
        .filter(({ targetId }) => target.includes(targetId))
        .map(({ allow, deny }) =>
          allow.includes("VIEW_CHANNEL") ? true : deny.includes("VIEW_CHANNEL") ? false : null,
        );
    const [own, roles, everyone] = [says([userId]), says(roleIds), says([server.id])];
    return (
      own.find((word) => word !== null) ??
      (roles.includes(true) ? true : roles.includes(false) ? false : (everyone[0] ?? true))
    );
  };
  const before = new Map(people.map((member) => [member.userId, sees(member)]));
  const values = await ask({
    title: `Who can see #${channel.name}`,
    text: people.length ? "The owner always can." : "Nobody is here but the owner, who always can.",
    fields: people.map(({ userId }) => ({
      name: userId,
      label: state.name(userId),
      type: "check",
      value: before.get(userId),
    })),
  });
  for (const [userId, sight] of Object.entries(values ?? {})) {
    if (sight === before.get(userId)) continue;
    const [allow, deny] = sight ? [["VIEW_CHANNEL"], []] : [[], ["VIEW_CHANNEL"]];
    await session.attempt((api) => api.put(`${path}/users/${encodeURIComponent(userId)}`, { allow, deny }));
  }
}

async function newCategory(session) {
  const values = await ask({ title: "New category", fields: [name("Name")], action: "Create" });
  if (values) await session.attempt((api) => api.post(at("/servers/{}/categories", session.state.server.id), values));
}

export function categoryMenu(session, anchor, category) {
  const path = at("/categories/{}", category.id);
  const rename = async () => {
    const values = await ask({ title: "Rename category", fields: [name("Name", category.name)] });
    if (values) await session.attempt((api) => api.patch(path, values));
  };
  menu(anchor, [
    { text: "New channel here", icon: "plus", run: () => newChannel(session, category.id) },
    { text: "Rename category", icon: "edit", run: rename },
    { text: "Delete category", icon: "bin", danger: true, run: () => session.attempt((api) => api.delete(path)) },
  ]);
}

// --- people

export async function newDirect(session) {
  const userId = await somebody(session, "Talk to somebody", "Open", ({ id }) => id !== session.state.me.id);
  if (userId) await session.direct(userId);
}

export async function invite(session) {
  const { server } = session.state;
  const userId = await somebody(session, `Invite to ${server.name}`, "Invite", ({ id }) => !server.members.has(id));
  if (userId) await session.attempt((api) => api.post(at("/servers/{}/members", server.id), { userId }));
}

async function somebody(session, title, action, fits) {
  const users = ((await session.attempt((api) => api.get("/users?limit=100"))) ?? []).filter(fits);
  if (!users.length) return ask({ title, text: "There is nobody left to ask.", action: "All right" }).then(() => null);
  const values = await ask({
    title,
    fields: [{ name: "userId", label: "Person", options: users.map(({ id, displayName }) => [id, displayName]) }],
    action,
  });
  return values?.userId;
}

export function personMenu(session, anchor, user, { drawer }) {
  const { state } = session;
  const { server } = state;
  const member = server?.members.get(user.id);
  const others = server && user.id !== state.me.id && user.id !== server.ownerId;
  const roles = others && state.may("MANAGE_ROLES", server.id) ? [...server.roles.values()] : [];
  const grant = (role) => {
    const has = member.roleIds.includes(role.id);
    const path = at("/servers/{}/members/{}/roles/{}", server.id, user.id, role.id);
    return {
      text: `${has ? "Take away" : "Give"} role: ${role.name}`,
      icon: "people",
      run: () => session.attempt((api) => (has ? api.delete(path) : api.put(path))),
    };
  };
  menu(anchor, [
    user.id !== state.me.id && {
      text: `Message ${user.displayName}`,
      icon: "send",
      run: () => (drawer(null), session.direct(user.id)),
    },
    user.id === state.me.id && { text: "Change my name", icon: "edit", run: () => renameMe(session) },
    ...roles.filter(({ isDefault }) => !isDefault).map(grant),
    others &&
      state.may("KICK_MEMBERS", server.id) && {
        text: `Remove from ${server.name}`,
        icon: "boot",
        danger: true,
        run: () => kick(session, user),
      },
  ]);
}

async function renameMe(session) {
  const values = await ask({
    title: "Change my name",
    fields: [{ name: "displayName", label: "Name", value: session.state.name(session.state.me.id) }],
  });
  const user = values && (await session.attempt((api) => api.patch("/users/me", values)));
  if (user) session.state.meet([user]);
  session.changed();
}

export async function kick(session, user) {
  const { server } = session.state;
  const sure = await ask({
    title: `Remove ${user.displayName}?`,
    text: `${server.name} closes for them at once, in every window.`,
    action: "Remove",
    danger: true,
  });
  if (sure) await session.attempt((api) => api.delete(at("/servers/{}/members/{}", server.id, user.id)));
}

// --- stickers

const DRAWINGS = ["hello", "love", "laugh", "sleep", "wow", "tea"].map((name) => [
  `/static/stickers/${name}.svg`,
  name,
]);

export function stickerMenu(session, anchor) {
  const { server } = session.state;
  const some = server.stickers.size > 0;
  menu(anchor, [
    { text: "Add a sticker", icon: "plus", run: () => addSticker(session, server) },
    some && { text: "Rename a sticker", icon: "edit", run: () => renameSticker(session, server) },
    some && { text: "Remove a sticker", icon: "bin", danger: true, run: () => removeSticker(session, server) },
  ]);
}

async function addSticker(session, server) {
  const values = await ask({
    title: "Add a sticker",
    fields: [{ name: "imageUrl", label: "Drawing", options: DRAWINGS }, name("Name")],
    action: "Add",
  });
  if (values) await session.attempt((api) => api.post(at("/servers/{}/stickers", server.id), values));
}

async function renameSticker(session, server) {
  const values = await ask({
    title: "Rename a sticker",
    fields: [{ name: "id", label: "Sticker", options: named(server.stickers) }, name("New name")],
  });
  if (values) await session.attempt((api) => api.patch(at("/stickers/{}", values.id), { name: values.name }));
}

async function removeSticker(session, server) {
  const values = await ask({
    title: "Remove a sticker",
    fields: [{ name: "id", label: "Sticker", options: named(server.stickers) }],
    action: "Remove",
    danger: true,
  });
  if (values) await session.attempt((api) => api.delete(at("/stickers/{}", values.id)));
}
