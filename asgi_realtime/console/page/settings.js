// The settings of the process that this page is connected to.

import { attempt, field, h, table } from "./dom.js";

export async function settingsView(root, { link }) {
  const changed = h("input", { type: "checkbox", onchange: show });
  const list = h("div");
  root.append(h("h1", {}, "Settings"), h("p", { class: "actions" }, field("Only those that differ from the default", changed)), list);
  let found = [];

  function show() {
    const rows = found.filter((each) => each.changed || !changed.checked).map(({ name, value, changed: differs }) => [name, value || "–", differs ? "yes" : ""]);
    list.replaceChildren(table("Settings of this process", [{ title: "Variable" }, { title: "Value" }, { title: "Changed" }], rows, "All have their defaults."));
  }

  found = (await attempt(() => link.ask("settings"))) ?? [];
  show();
}
