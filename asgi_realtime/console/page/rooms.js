// The rooms of a gateway, and one of them: members, events, sending.

import { connectionList } from "./connections.js";
import { attempt, confirmed, h, notice } from "./dom.js";
import { eventList } from "./events.js";
import { count, short } from "./format.js";
import { pagedList } from "./pages.js";
import { sendForm } from "./send.js";

export function roomsView(root, { link, gateway, address }) {
  root.append(h("h1", {}, "Rooms"));
  pagedList(root, {
    caption: "Rooms",
    label: "Room begins with",
    columns: [
      { title: "Room", by: (row) => row.name },
      { title: "Members", number: true, by: (row) => row.members },
    ],
    empty: "No room with members is found.",
    load: (search, after) => link.ask("rooms", { gateway, search, after: after ?? "" }),
    cursor: (row) => row.name,
    cells: (row) => [h("a", { href: address("room", row.name) }, row.name), count(row.members)],
  });
}

export function roomView(root, context) {
  root.append(h("h1", {}, `Room ${context.id}`), h("h2", {}, "Members"));
  const members = connectionList(root, context, context.id);
  roomActions(root, context, members.refresh);
  root.append(h("h2", {}, "Send to the room"));
  sendForm(root, context, "room", context.id);
  eventList(root, context, "room", context.id);
}

/** Buttons that take all members out, or disconnect them. `refresh` shows the members again. */
function roomActions(root, { link, gateway, id: room }, refresh) {
  async function change(event, question, agree, done) {
    const size = await attempt(() => link.ask("room", { gateway, room }));
    if (!size) return;
    const atLeast = size.complete ? "" : "at least ";
    const who = `${atLeast}${count(size.members)} ${size.members === 1 ? "member" : "members"}`;
    if (!(await confirmed(question(who), agree))) return;
    if ((await attempt(() => link.ask(event, { gateway, room }))) === undefined) return;
    notice(done);
    refresh();
  }

  const name = short(room);
  const empty = () =>
    change(
      "close_room",
      (who) => `Close ${name}? This takes ${who} out of it, and out of the rooms below it. The connections stay open.`,
      "Close room",
      "The room is closed.",
    );
  const disconnect = () =>
    change(
      "disconnect_members",
      (who) => `Disconnect ${who} of ${name} from ${gateway}? Their clients may connect again.`,
      "Disconnect",
      "The members are disconnected.",
    );
  root.append(
    h(
      "p",
      { class: "actions" },
      h("button", { type: "button", class: "danger", onclick: empty }, "Close room"),
      h("button", { type: "button", class: "danger", onclick: disconnect }, "Disconnect members"),
    ),
  );
}
