/** Actions on channels and categories. */

import { at } from "./api.js";
import { ask, menu, nameField, names } from "./dialogs.js";

export async function newChannel(session, categoryId = "") {
  const { server } = session.state;
  const fields = [
    nameField("Name"),
    server.categories.size > 0 && {
      name: "categoryId",
      label: "Category",
      value: categoryId,
      options: [["", "None"], ...names(server.categories)],
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
    nameField("Name", channel.name),
    { name: "topic", label: "Topic", value: channel.topic ?? "", required: false, max: 1000 },
    {
      name: "categoryId",
      label: "Category",
      value: channel.categoryId ?? "",
      options: [["", "None"], ...names(categories)],
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
    text: "All its messages are deleted too, for all users.",
    action: "Delete",
    danger: true,
  });
  if (sure) await session.attempt((api) => api.delete(at("/channels/{}", channel.id)));
}

/** Choose who may see a channel, with a checkbox per user. Only changed ones are sent. */
async function audience(session, channel) {
  const { state } = session;
  const server = state.servers.get(channel.serverId);
  const path = at("/channels/{}/permissions", channel.id);
  const overrides = await session.attempt((api) => api.get(path));
  if (!overrides) return;
  const people = [...server.members.values()].filter(({ userId }) => userId !== server.ownerId);
  const sees = ({ userId, roleIds }) => {
    const decisions = (target) =>
      overrides
        .filter(({ targetId }) => target.includes(targetId))
        .map(({ allow, deny }) =>
          allow.includes("VIEW_CHANNEL") ? true : deny.includes("VIEW_CHANNEL") ? false : null,
        );
    const [own, roles, everyone] = [decisions([userId]), decisions(roleIds), decisions([server.id])];
    return (
      own.find((decision) => decision !== null) ??
      (roles.includes(true) ? true : roles.includes(false) ? false : (everyone[0] ?? true))
    );
  };
  const before = new Map(people.map((member) => [member.userId, sees(member)]));
  const values = await ask({
    title: `Who can see #${channel.name}`,
    text: people.length ? "The owner always can." : "Only the owner is here, who always can.",
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

export async function newCategory(session) {
  const values = await ask({ title: "New category", fields: [nameField("Name")], action: "Create" });
  if (values) await session.attempt((api) => api.post(at("/servers/{}/categories", session.state.server.id), values));
}

export function categoryMenu(session, anchor, category) {
  const path = at("/categories/{}", category.id);
  const rename = async () => {
    const values = await ask({ title: "Rename category", fields: [nameField("Name", category.name)] });
    if (values) await session.attempt((api) => api.patch(path, values));
  };
  menu(anchor, [
    { text: "New channel here", icon: "plus", run: () => newChannel(session, category.id) },
    { text: "Rename category", icon: "edit", run: rename },
    { text: "Delete category", icon: "bin", danger: true, run: () => session.attempt((api) => api.delete(path)) },
  ]);
}
