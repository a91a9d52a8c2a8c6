// The settings of the process that this page is connected to.

import { attempt, field, h } from "./dom.js";
import { table } from "./table.js";

const COLUMNS = [
  { title: "Variable", by: ({ name }) => name },
  { title: "Value", by: ({ value }) => value },
  { title: "Changed", by: ({ changed }) => (changed ? "yes" : null) },
];

export async function settingsView(root, { link }) {
  const changed = h("input", { type: "checkbox", onchange: show });
  const cells = ({ name, value, changed: differs }) => [name, value || "–", differs ? "yes" : ""];
  const list = table("Settings of this process", COLUMNS, cells, "All have their defaults.");
  root.append(h("h1", {}, "Settings"), h("p", { class: "actions" }, field("Only those that differ from the default", changed)), list.element);
  let found = [];

  function show() {
    list.show(found.filter((each) => each.changed || !changed.checked));
  }

  found = (await attempt(() => link.ask("settings"))) ?? [];
  show();
}
