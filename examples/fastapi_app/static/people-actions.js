/** Actions on users: message, invite, give roles, remove. */

import { at } from "./api.js";
import { ask, menu } from "./dialogs.js";

export async function newDirect(session) {
  const userId = await pickPerson(session, "Talk to a person", "Open", ({ id }) => id !== session.state.me.id);
  if (userId) await session.direct(userId);
}

export async function invite(session) {
  const { server } = session.state;
  const userId = await pickPerson(session, `Invite to ${server.name}`, "Invite", ({ id }) => !server.members.has(id));
  if (userId) await session.attempt((api) => api.post(at("/servers/{}/members", server.id), { userId }));
}

async function pickPerson(session, title, action, fits) {
  const users = ((await session.attempt((api) => api.get("/users?limit=100"))) ?? []).filter(fits);
  if (!users.length) return ask({ title, text: "There is no other user.", action: "All right" }).then(() => null);
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
