// A list that comes in pages, with a search.

import { attempt, field, h, incomplete } from "./dom.js";
import { count } from "./format.js";
import { table } from "./table.js";

/**
 * Show a list. `load(search, after)` asks for a page that begins after the cursor; `cursor(row)` is that of a row; `cells(row)`
 * are its cells. A column sorts the rows of the page that is shown: pages are in the order of the server.
 */
export function pagedList(root, { caption, label, columns, empty, load, cursor, cells, summary }) {
  const input = h("input", { type: "search", autocomplete: "off", spellcheck: "false", maxlength: "300" });
  const about = h("p", { class: "about", role: "status" });
  const missing = h("div");
  const rowsTable = table(caption, columns, cells, empty, describe);
  const list = h("div", { "aria-busy": "true", hidden: true }, missing, rowsTable.element);
  const previous = h("button", { type: "button", disabled: true, onclick: () => turn(-1) }, "Previous");
  const next = h("button", { type: "button", disabled: true, onclick: () => turn(1) }, "Next");
  const search = (event) => {
    event.preventDefault();
    cursors.length = 1;
    page = 0;
    show();
  };
  const cursors = [undefined];
  let page = 0;
  let newest = 0;
  let found;

  function turn(step) {
    page += step;
    show();
  }

  async function show() {
    const turnNumber = ++newest;
    list.setAttribute("aria-busy", "true");
    const answer = await attempt(() => load(input.value, cursors[page]));
    if (turnNumber !== newest) return; // a later search was faster
    list.setAttribute("aria-busy", "false");
    if (!answer) return;
    found = answer;
    const { rows, more, complete = true } = found;
    if (more && rows.length) cursors[page + 1] = cursor(rows.at(-1));
    previous.disabled = page === 0;
    next.disabled = !more || !rows.length;
    missing.replaceChildren(...[incomplete(complete)].filter(Boolean));
    rowsTable.show(rows);
    list.hidden = false;
    describe();
  }

  /** Say which rows these are. */
  function describe() {
    if (!found) return;
    const { rows, more } = found;
    const place = rows.length ? `page ${page + 1}, ${count(rows.length)} ${rows.length === 1 ? "row" : "rows"}` : "";
    const order = rowsTable.order() !== null && (more || page > 0) ? "only this page is sorted" : "";
    about.textContent = [summary?.(found), place, order].filter(Boolean).join("; ");
  }

  root.append(
    h("form", { class: "search", role: "search", onsubmit: search }, field(label, input), h("button", {}, "Search"), h("button", { type: "button", onclick: show }, "Refresh")),
    about,
    list,
    h("p", { class: "turn" }, previous, next),
  );
  show();
  return { refresh: show };
}
