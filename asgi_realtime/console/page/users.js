// The users who are online, and one user.

import { attempt, confirmed, field, h, incomplete, notice } from "./dom.js";
import { eventList } from "./events.js";
import { count, short } from "./format.js";
import { pagedList } from "./pages.js";
import { sendForm } from "./send.js";
import { table } from "./table.js";

const CONNECTIONS = [
  { title: "Connection", by: ([id]) => id },
  { title: "Process", by: ([, node]) => node },
];

export function usersView(root, { link, gateway, address }) {
  root.append(h("h1", {}, "Users online"));
  pagedList(root, {
    caption: "Users",
    label: "User begins with",
    columns: [{ title: "User", by: (row) => row }],
    empty: "No user is found.",
    load: (search, after) => link.ask("online", { gateway, search, after: after ?? "" }),
    cursor: (row) => row,
    cells: (row) => [h("a", { href: address("user", row) }, row)],
    summary: ({ total }) => `${count(total)} online`,
  });
  const token = h("input", { required: true, autocomplete: "off", spellcheck: "false" });
  const revoke = async (event) => {
    event.preventDefault();
    if (!(await confirmed(`Revoke the token ${short(token.value)}, and close its connections?`, "Revoke"))) return;
    const answer = await attempt(() => link.ask("revoke", { jti: token.value }));
    if (answer !== undefined) notice("The token is revoked.");
  };
  root.append(
    h("h2", {}, "Revoke one token"),
    h("form", { class: "search", onsubmit: revoke }, field("Token id (jti)", token), h("button", { class: "danger" }, "Revoke")),
  );
}

export function userView(root, context) {
  const { link, gateway, id: userId, address } = context;
  const state = h("p", { class: "about" }, "Asking…");
  const missing = h("div");
  const list = table("Connections", CONNECTIONS, ([id, node]) => [h("a", { href: address("connection", id) }, id), node], "No connection.");
  const room = h("input", { required: true, autocomplete: "off", spellcheck: "false" });

  async function show() {
    const found = await attempt(() => link.ask("user", { gateway, userId }));
    if (!found) return;
    state.textContent = found.online ? "Online" : "Offline";
    missing.replaceChildren(...[incomplete(found.complete)].filter(Boolean));
    list.show(found.connections);
  }

  async function change(question, agree, event, data, done) {
    if (question && !(await confirmed(question, agree))) return;
    const answer = await attempt(() => link.ask(event, data));
    if (answer !== undefined) {
      notice(done);
      show();
    }
  }

  function move(enter) {
    if (!room.reportValidity()) return;
    const data = { gateway, userId, room: room.value, enter };
    change(null, "", "move", data, enter ? `Put into ${room.value}.` : `Taken out of ${room.value}.`);
  }

  const who = short(userId);
  root.append(
    h("h1", {}, `User ${userId}`),
    state,
    missing,
    list.element,
    h(
      "p",
      { class: "actions" },
      h("button", { type: "button", onclick: show }, "Refresh"),
      h(
        "button",
        {
          type: "button",
          class: "danger",
          onclick: () =>
            change(`Disconnect ${who} from ${gateway}? The clients may connect again.`, "Disconnect", "disconnect_user", { gateway, userId }, "Disconnected."),
        },
        "Disconnect",
      ),
      h(
        "button",
        {
          type: "button",
          class: "danger",
          onclick: () =>
            change(`Revoke all tokens of ${who} up to now, and close all connections?`, "Revoke", "revoke", { userId }, "The tokens are revoked."),
        },
        "Revoke tokens",
      ),
    ),
    h("h2", {}, "Rooms"),
    h(
      "form",
      { class: "search", onsubmit: (event) => event.preventDefault() },
      field("Room", room),
      h("button", { type: "button", onclick: () => move(true) }, "Put into the room"),
      h("button", { type: "button", onclick: () => move(false) }, "Take out"),
    ),
    h("h2", {}, "Send to the user"),
  );
  sendForm(root, context, "user", userId);
  eventList(root, context, "user", userId);
  show();
}
