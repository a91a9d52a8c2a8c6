/** The right column: the members of the server or conversation, and who is online. */

import { cat, face, icon } from "./art.js";
import { h, show } from "./dom.js";
import { invite, kick, personMenu } from "./people-actions.js";

export function people(session, { drawer }) {
  const { state } = session;
  const root = document.getElementById("people");
  const head = h("header");
  const list = h(".list");
  root.append(head, list);

  const inServer = (server, userId) =>
    server && [server.id, server.name, server.ownerId, [...server.may], [...server.roles], server.members.get(userId)];

  return () => {
    const { server, channel } = state;
    const users = server ? [...server.members.keys()] : (channel?.recipients?.map(({ id }) => id) ?? []);
    const invites = Boolean(server) && state.may("INVITE_MEMBERS", server.id);
    show(head, ["head"], {
      key: String,
      fingerprint: () => JSON.stringify([server?.id, users.length, invites]),
      draw: () =>
        h(
          ".people-head",
          {},
          h("h2", {}, users.length ? `People · ${users.length}` : "People"),
          invites &&
            h(
              "button.icon-button",
              {
                type: "button",
                "aria-label": "Invite a person",
                title: "Invite a person",
                onclick: () => invite(session),
              },
              icon("plus"),
            ),
          h(
            "button.icon-button.closer",
            { type: "button", "aria-label": "Close", onclick: () => drawer(null) },
            icon("close"),
          ),
        ),
    });
    const byName = (one, other) => state.name(one).localeCompare(state.name(other));
    const [here, away] = [users.filter((id) => state.online.has(id)), users.filter((id) => !state.online.has(id))].map(
      (ids) => ids.sort(byName),
    );
    const rows = [
      { id: "online", heading: `Online · ${here.length}` },
      ...here.map((id) => ({ id: `user:${id}`, userId: id, online: true })),
      { id: "offline", heading: `Offline · ${away.length}` },
      ...away.map((id) => ({ id: `user:${id}`, userId: id, online: false })),
    ].filter(({ id }) => (id === "online" ? here.length : id === "offline" ? away.length : true));
    if (!users.length) rows.push({ id: "no members" });
    show(list, rows, {
      key: ({ id }) => id,
      fingerprint: ({ heading, userId, online }) =>
        JSON.stringify([heading, online, state.users.get(userId), inServer(server, userId)]),
      draw: (row) =>
        row.heading
          ? h("h3", {}, row.heading)
          : row.userId
            ? person(row)
            : h(".no-members", {}, cat({ asleep: true }), h("p", {}, "Open a conversation to see who is in it.")),
    });
  };

  function person({ userId, online }) {
    const { server } = state;
    const user = state.users.get(userId) ?? { id: userId, displayName: userId };
    const myself = userId === state.me.id;
    const kicks = server && !myself && userId !== server.ownerId && state.may("KICK_MEMBERS", server.id);
    const roles = server?.members.get(userId)?.roleIds.map((id) => server.roles.get(id)?.name) ?? [];
    const title = [server?.ownerId === userId && "Owner", ...roles].filter(Boolean).join(", ");
    return h(
      `.person${online ? "" : ".away"}`,
      { "data-user": userId },
      h(
        "button.name",
        {
          type: "button",
          "data-focus": `person:${userId}`,
          "aria-haspopup": "menu",
          onclick: ({ currentTarget }) => personMenu(session, currentTarget, user, { drawer }),
        },
        face(user, online),
        h(
          "span.what",
          {},
          h("span", {}, user.displayName, myself && h("small", {}, " (you)")),
          title && h("small.title", {}, title),
        ),
      ),
      kicks &&
        h(
          "button.icon-button.kick",
          {
            type: "button",
            "aria-label": `Remove ${user.displayName}`,
            title: `Remove ${user.displayName} from ${server.name}`,
            onclick: () => kick(session, user),
          },
          icon("boot"),
        ),
    );
  }
}
