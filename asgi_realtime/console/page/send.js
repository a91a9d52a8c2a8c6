// Sends an event to a room, a user or all clients of a gateway.

import { attempt, confirmed, field, h, notice, problem } from "./dom.js";
import { count } from "./format.js";

/** A form. With `to` and `name` the recipients are fixed. */
export function sendForm(root, { link, gateway }, to = null, name = null) {
  const recipients = h("select", {}, ["room", "user", "all"].map((each) => h("option", { value: each }, each)));
  const target = h("input", { autocomplete: "off", spellcheck: "false" });
  const event = h("input", { required: true, autocomplete: "off", spellcheck: "false" });
  const data = h("textarea", { rows: "4", spellcheck: "false", placeholder: '{"text": "hello"}' });

  async function send(submitted) {
    submitted.preventDefault();
    const request = { gateway, to: to ?? recipients.value, name: name ?? target.value, event: event.value };
    if (data.value.trim()) {
      try {
        request.data = JSON.parse(data.value);
      } catch (error) {
        problem(`The payload is not JSON: ${error.message}`);
        data.focus();
        return;
      }
    }
    if (request.to === "all" && !(await confirmed(`Send ${request.event} to every client of ${gateway}?`, "Send"))) return;
    const sent = await attempt(() => link.ask("publish", request));
    if (sent) notice(`Sent${sent.position ? ` at position ${sent.position}` : ""}. ${count(sent.deliveredHere)} of its recipients are on the process of this page.`);
  }

  root.append(
    h(
      "form",
      { class: "send", onsubmit: send },
      ...(to === null ? [field("To", recipients), field("Name of the room or id of the user", target)] : []),
      field("Event", event),
      field("Payload (JSON, or empty)", data),
      h("button", { class: "primary" }, "Send"),
    ),
  );
}

export function sendView(root, context) {
  root.append(h("h1", {}, `Send on ${context.gateway}`));
  sendForm(root, context);
}
