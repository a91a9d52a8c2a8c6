// The connections of a gateway, and one of them.

import { attempt, confirmed, facts, h, incomplete, notice } from "./dom.js";
import { bytes, count, duration, short, time } from "./format.js";
import { pagedList } from "./pages.js";

const COLUMNS = [
  { title: "User", by: (row) => row.userId },
  { title: "Connection", by: (row) => row.id },
  { title: "Transport", by: (row) => row.transport },
  { title: "Address", by: (row) => row.address || null },
  { title: "Process", by: (row) => row.node },
  { title: "Rooms", number: true, by: (row) => row.rooms },
  { title: "Waiting", number: true, by: (row) => row.waiting },
];

/** A list of connections: all of the gateway, or the members of a room. */
export function connectionList(root, { link, gateway, address }, room = null) {
  return pagedList(root, {
    caption: room === null ? "Connections" : "Members",
    label: room === null ? "User or connection begins with" : "User begins with",
    columns: COLUMNS,
    empty: "No connection is found.",
    load: (search, after) => link.ask("connections", { gateway, search, room, after: after ?? null }),
    cursor: (row) => [row.userId, row.id],
    cells: (row) => [
      h("a", { href: address("user", row.userId) }, row.userId),
      h("a", { href: address("connection", row.id) }, row.id),
      row.transport,
      row.address || "–",
      row.node,
      count(row.rooms),
      bytes(row.waiting),
    ],
  });
}

export function connectionsView(root, context) {
  root.append(h("h1", {}, "Connections"));
  connectionList(root, context);
}

export async function connectionView(root, { link, gateway, id, address }) {
  const body = h("div", {}, h("p", {}, "Asking…"));
  root.append(h("h1", {}, `Connection ${id}`), body);

  async function show() {
    const found = await attempt(() => link.ask("connection", { gateway, id }));
    if (!found) return;
    const { node, details, complete } = found;
    if (!details) {
      body.replaceChildren(...[incomplete(complete), h("p", {}, "It is not connected.")].filter(Boolean));
      return;
    }
    body.replaceChildren(
      facts([
        ["User", h("a", { href: address("user", details.userId) }, details.userId)],
        ["Process", node],
        ["Transport", details.transport],
        ["Address", details.address || "–"],
        ["Path", details.path],
        ["Claims", details.claims.join(", ") || "none"],
        ["Credential expires", time(details.expiresAt)],
        ["Waiting for it", details.behind ? `${bytes(details.waiting)} (reads slowly)` : bytes(details.waiting)],
        ["Last answered ping sent", details.silent === null ? "not known" : `${duration(details.silent)} ago`],
      ]),
      h("h2", {}, `Rooms (${count(details.roomCount)})`),
      h("ul", { class: "names" }, details.rooms.map((room) => h("li", {}, h("a", { href: address("room", room) }, room)))),
      ...(details.roomCount > details.rooms.length ? [h("p", {}, "The others are not listed.")] : []),
      h("p", { class: "actions" }, h("button", { type: "button", onclick: show }, "Refresh"), h("button", { type: "button", class: "danger", onclick: kick }, "Disconnect")),
    );
  }

  async function kick() {
    if (!(await confirmed(`Disconnect ${short(id)}? Its client may connect again.`, "Disconnect"))) return;
    const done = await attempt(() => link.ask("kick", { gateway, id }));
    if (done !== undefined) {
      notice("The connection is closed.");
      show();
    }
  }

  await show();
}
