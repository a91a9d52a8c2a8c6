/** Creates elements. Text always becomes a text node: the input of users is never parsed as HTML. */

const SVG = "http://www.w3.org/2000/svg";

/** `h("button.icon", {onclick, "aria-label": "Reply"}, child, …)`; null and false children are left out. */
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
 * Show `items` in `parent` in order, and draw only changed ones again.
 *
 * Unchanged items keep their elements with focus, hover and selection. `key(item)` identifies an item.
 * `fingerprint(item)` is a string that changes if the drawing changes.
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
