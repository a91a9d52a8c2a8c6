/** Dialogs, menus and notices. */

import { icon } from "./art.js";
import { h } from "./dom.js";

/**
 * Show a dialog with fields. Each field is {name, label, value?, type?, options?, required?, max?}.
 * Resolves with {name: value}, or null if the user cancels.
 */
export function ask({ title, text, fields = [], action = "Save", danger = false }) {
  return new Promise((resolve) => {
    const form = h(
      "form",
      { method: "dialog" },
      h("h2", {}, title),
      text && h("p", {}, text),
      h(".fields", {}, ...fields.map(field)),
      h(
        ".buttons",
        {},
        h("button.quiet", { type: "button", onclick: () => dialog.close() }, "Cancel"),
        h(
          danger ? "button.danger" : "button.primary",
          { type: "submit", value: "yes", autofocus: !fields.length },
          action,
        ),
      ),
    );
    const dialog = h("dialog.question", { onclick: (event) => event.target === dialog && dialog.close() }, form);
    dialog.addEventListener("close", () => {
      resolve(dialog.returnValue === "yes" ? values(form, fields) : null);
      dialog.remove();
    });
    document.body.append(dialog);
    dialog.showModal();
    form.querySelector("input, select, textarea")?.select?.();
  });
}

/** The field that most dialogs have. */
export const nameField = (label, value) => ({ name: "name", label, value });

/** Objects with names as the options of a field. */
export const names = (things) => [...things.values()].map(({ id, name }) => [id, name]);

function field({ name, label, value = "", type = "text", options, required = true, max = 100 }) {
  if (type === "check")
    return h("label.check", {}, h("input", { type: "checkbox", name, checked: Boolean(value) }), h("span", {}, label));
  const input = options
    ? h("select", { name }, ...options.map(([key, text]) => h("option", { value: key, selected: key === value }, text)))
    : h("input", { name, value, type, required, maxlength: max, autocomplete: "off", spellcheck: "false" });
  return h("label.field", {}, h("span", {}, label), input);
}

function values(form, fields) {
  const data = new FormData(form);
  return Object.fromEntries(
    fields.map(({ name, type }) => [name, type === "check" ? data.has(name) : data.get(name).trim()]),
  );
}

/** A menu at a button. Items are {text, icon?, run, danger?}, or false to leave one out. */
export function menu(anchor, items) {
  const list = h(
    ".menu",
    { popover: "auto", role: "menu" },
    ...items
      .filter(Boolean)
      .map(({ text, icon: name, run, danger }) =>
        h(
          danger ? "button.item.danger" : "button.item",
          { role: "menuitem", type: "button", onclick: () => (list.hidePopover(), run()) },
          name && icon(name),
          text,
        ),
      ),
  );
  raise(list, anchor);
}

/** Show `popover` at `anchor`. Escape or a click elsewhere closes it. */
export function raise(popover, anchor) {
  document.body.append(popover);
  popover.showPopover();
  const [place, size] = [anchor.getBoundingClientRect(), popover.getBoundingClientRect()];
  const below = place.bottom + 6 + size.height < innerHeight;
  const left = place.left + size.width < innerWidth * 0.8 ? place.left : place.right - size.width;
  popover.style.left = `${Math.max(8, Math.min(left, innerWidth - size.width - 8))}px`;
  popover.style.top = `${Math.max(8, below ? place.bottom + 6 : place.top - size.height - 6)}px`;
  const buttons = [...popover.querySelectorAll("button")];
  buttons[0]?.focus();
  popover.addEventListener("keydown", (event) => {
    const step = { ArrowDown: 1, ArrowRight: 1, ArrowUp: -1, ArrowLeft: -1 }[event.key];
    if (!step) return;
    event.preventDefault();
    buttons.at((buttons.indexOf(document.activeElement) + step) % buttons.length).focus();
  });
  popover.addEventListener("toggle", ({ newState }) => {
    if (newState !== "closed") return;
    popover.remove();
    if (document.activeElement !== document.body) return;
    // The anchor may have been drawn again since, or is hidden without focus: find it by its name.
    const mark = anchor.closest("[data-focus]")?.dataset.focus;
    (mark ? document.querySelector(`[data-focus="${CSS.escape(mark)}"]`) : anchor)?.focus();
  });
}

/** Show a notice. `stays` keeps it until it is closed. */
export function notice(text, { bad = false, stays = false } = {}) {
  const toast = h(
    bad ? ".toast.bad" : ".toast",
    { role: bad ? "alert" : "status" },
    h("span", {}, text),
    h("button.icon-button", { type: "button", "aria-label": "Close", onclick: () => toast.remove() }, icon("close")),
  );
  const shelf = document.getElementById("toasts");
  shelf.append(toast);
  while (shelf.children.length > 3) shelf.firstChild.remove();
  if (!stays) setTimeout(() => toast.remove(), 5_000);
}
