/** Actions on servers. Each is a REST call, and its change arrives as an event. */

import { at } from "./api.js";
import { newCategory, newChannel } from "./channel-actions.js";
import { ask, menu, nameField } from "./dialogs.js";
import { invite } from "./people-actions.js";

export async function newServer(session) {
  const values = await ask({
    title: "A new server",
    text: "Create a server of your own. You decide who can join.",
    fields: [nameField("Name")],
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
    may("INVITE_MEMBERS") && { text: "Invite a person", icon: "people", run: () => invite(session) },
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
  const values = await ask({ title: "Rename server", fields: [nameField("Name", server.name)] });
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
    text: "All its channels and messages are deleted too, for all users.",
    action: "Delete",
    danger: true,
  });
  if (sure) await session.attempt((api) => api.delete(at("/servers/{}", server.id)));
}
