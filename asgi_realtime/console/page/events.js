// The newest events of a room, a user or a gateway that history has, and those that come while the page looks on.

import { attempt, field, h } from "./dom.js";
import { bytes, count } from "./format.js";

const SECONDS = 1;
const MOST_ROWS = 200;

/** Show the events. They are asked for again each second while the box is checked. */
export function eventList(root, { link, gateway, repeat }, to, name) {
  const list = h("ol", { class: "events", "aria-label": "Events, newest first" });
  const about = h("p", { class: "about", role: "status" });
  const follow = h("input", { type: "checkbox" });
  let newest = null;
  let asking = false;

  async function load(since) {
    if (asking) return;
    asking = true;
    const found = await attempt(() => link.ask("history", { gateway, to, name, since }));
    asking = false;
    if (!found) return;
    const { events, more } = found;
    if (since === null) list.replaceChildren();
    if (since !== null && more) list.prepend(h("li", { class: "gap" }, "Older events came too fast to be listed."));
    list.prepend(...events.map(item));
    while (list.children.length > MOST_ROWS) list.lastElementChild.remove();
    if (events.length) newest = events[0].position;
    if (since === null) about.textContent = events.length ? `The newest ${count(events.length)} events${more ? "; history has more" : ""}.` : "History has no events.";
    else if (events.length) about.textContent = `${count(events.length)} new.`;
  }

  root.append(
    h("h2", {}, "Events"),
    h("p", { class: "actions" }, h("button", { type: "button", onclick: () => load(null) }, "Refresh"), field("Follow", follow)),
    about,
    list,
  );
  load(null);
  repeat(SECONDS, async () => {
    if (follow.checked) await load(newest);
  });
}

function item({ position, event, payload, bytes: size, attachments, cut }) {
  const more = [bytes(size), attachments ? `${attachments} attachments` : "", cut ? "cut" : ""].filter(Boolean).join(", ");
  return h("li", {}, h("p", {}, h("strong", {}, event), h("small", {}, `${position} · ${more}`)), payload ? h("pre", {}, payload) : null);
}
