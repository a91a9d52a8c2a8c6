// The rooms of a gateway, and one of them: members, events, sending.

import { connectionList } from "./connections.js";
import { h } from "./dom.js";
import { eventList } from "./events.js";
import { count } from "./format.js";
import { pagedList } from "./pages.js";
import { sendForm } from "./send.js";

export function roomsView(root, { link, gateway, address }) {
  root.append(h("h1", {}, "Rooms"));
  pagedList(root, {
    caption: "Rooms",
    label: "Room begins with",
    columns: [{ title: "Room" }, { title: "Members", number: true }],
    empty: "No room with members is found.",
    load: (search, after) => link.ask("rooms", { gateway, search, after: after ?? "" }),
    cursor: (row) => row.name,
    cells: (row) => [h("a", { href: address("room", row.name) }, row.name), count(row.members)],
  });
}

export function roomView(root, context) {
  root.append(h("h1", {}, `Room ${context.id}`), h("h2", {}, "Members"));
  connectionList(root, context, context.id);
  root.append(h("h2", {}, "Send to the room"));
  sendForm(root, context, "room", context.id);
  eventList(root, context, "room", context.id);
}
