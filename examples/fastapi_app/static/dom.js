/** Building elements. Text always becomes a text node: nothing a person typed is ever read as HTML. */

const SVG = "http://www.w3.org/2000/svg";

/** `h("button.icon", {onclick, "aria-label": "Reply"}, child, …)`; children that are null or false are left out. */
export function h(selector, attributes = {}, ...children) {
  const [tag, ...classes] = selector.split(".");
  return fill(document.createElement(tag || "div"), classes, attributes, children);
}

/** The same for SVG. */
export function svg(selector, attributes = {}, ...children) {
  const [tag, ...classes] = selector.split(".");
  return fill(document.createElementNS(SVG, tag), classes, attributes, children);
}

function fill(element, classes, attributes, children) {
  if (classes.length) element.classList.add(...classes);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name.startsWith("--")) element.style.setProperty(name, value);
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

const drawn = new WeakMap(); // parent → Map(key → [fingerprint, node])

/**
 * Make `parent` show `items` in order, drawing again only those that changed.
 *
 * What did not change keeps its element, and with it focus, hover and selection. `key(item)` names an item;
 * `fingerprint(item)` is a string that changes whenever the drawing would.
 */
export function show(parent, items, { key, fingerprint, draw }) {
  const before = drawn.get(parent) ?? new Map();
  const after = new Map();
  for (const item of items) {
    const [name, print] = [key(item), fingerprint(item)];
    const known = before.get(name);
    after.set(name, known?.[0] === print ? known : [print, draw(item)]);
  }
  const focused = document.activeElement?.closest("[data-focus]");
  const mark = parent.contains(focused) ? focused.dataset.focus : null;
  const nodes = [...after.values()].map(([, node]) => node);
  const keep = new Set(nodes);
  for (const child of [...parent.childNodes]) if (!keep.has(child)) child.remove();
  nodes.forEach(
    (node, index) => parent.childNodes[index] !== node && parent.insertBefore(node, parent.childNodes[index] ?? null),
  );
  drawn.set(parent, after);
  if (mark && !focused.isConnected) parent.querySelector(`[data-focus="${CSS.escape(mark)}"]`)?.focus();
}
