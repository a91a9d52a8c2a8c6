/** All drawings: avatars, icons, the logo, and reactions (so that they look the same without an emoji font). */

import { address } from "./api.js";
import { h, svg } from "./dom.js";

const ICONS = {
  reply: "M8 5 3.5 9.5 8 14M4 9.5h7.5a5 5 0 0 1 5 5V16",
  edit: "m4 16 .7-3.2L13 4.5a1.6 1.6 0 0 1 2.3 0l.2.2a1.6 1.6 0 0 1 0 2.3L7.2 15.3 4 16Z",
  bin: "M4 6h12M8.2 6V4.4h3.6V6M5.6 6l.7 10h7.4l.7-10M8.6 9v4.4M11.4 9v4.4",
  smile: "M10 17a7 7 0 1 0 0-14 7 7 0 0 0 0 14ZM7.2 11.6c.7 1.2 1.7 1.8 2.8 1.8s2.1-.6 2.8-1.8M7.6 8v.6M12.4 8v.6",
  send: "M4 10h11M10.5 5.2 15.4 10l-4.9 4.8",
  sticker:
    "M4 6.5A2.5 2.5 0 0 1 6.5 4h7A2.5 2.5 0 0 1 16 6.5V11l-5 5H6.5A2.5 2.5 0 0 1 4 13.5ZM16 11h-2.5A2.5 2.5 0 0 0 11 13.5V16",
  close: "m5.5 5.5 9 9M14.5 5.5l-9 9",
  plus: "M10 4.5v11M4.5 10h11",
  more: "M5 10h.01M10 10h.01M15 10h.01",
  menu: "M3.5 6h13M3.5 10h13M3.5 14h8",
  people:
    "M7.5 9.5a2.8 2.8 0 1 0 0-5.6 2.8 2.8 0 0 0 0 5.6ZM2.5 16c.3-2.8 2.3-4.3 5-4.3s4.7 1.5 5 4.3M12.8 4.2a2.7 2.7 0 0 1 0 5.1M14.6 12c1.7.6 2.7 2 2.9 4",
  hash: "M7.8 4 6.4 16M13.6 4l-1.4 12M4.2 7.7h12M3.8 12.3h12",
  lock: "M5.5 9.2h9V16h-9ZM7.3 9V7a2.7 2.7 0 0 1 5.4 0v2",
  down: "m5.5 8 4.5 4.5L14.5 8",
  compass: "M10 17a7 7 0 1 0 0-14 7 7 0 0 0 0 14ZM12.9 7.1l-1.5 4.3-4.3 1.5 1.5-4.3Z",
  exit: "M11.5 4H5v12h6.5M9 10h8M14 7l3 3-3 3",
  boot: "M8 9.5a2.8 2.8 0 1 0 0-5.6 2.8 2.8 0 0 0 0 5.6ZM3 16c.3-2.8 2.3-4.3 5-4.3 1.3 0 2.5.4 3.4 1.1M13 13l4 4M17 13l-4 4",
};

/** A line icon. Its button has the label. */
export function icon(name) {
  return svg("svg.icon", { viewBox: "0 0 20 20", "aria-hidden": "true" }, svg("path", { d: ICONS[name] }));
}

const HEAD =
  "M8 9.2c0-2.9 2.9-3.9 4.8-2.3l5 4.2c2-.6 4-.9 6.2-.9s4.2.3 6.2.9l5-4.2c1.9-1.6 4.8-.6 4.8 2.3l1.1 15.3C41.8 35.6 33.8 42 24 42S6.2 35.6 6.9 24.5Z";

/** The logo: a cat, awake or asleep. */
export function cat({ asleep = false } = {}) {
  const eyes = asleep
    ? [svg("path", { d: "M13.5 25.5c1.3 1.7 3.7 1.7 5 0M29.5 25.5c1.3 1.7 3.7 1.7 5 0" })]
    : [svg("path", { d: "M16.2 23.2v3.4M31.8 23.2v3.4" })];
  const mouth = svg("path", { d: "M19.8 31.2c1.3 1.6 3.2 1.6 4.2 0 1 1.6 2.9 1.6 4.2 0" });
  return svg("svg.cat", { viewBox: "0 0 48 48", "aria-hidden": "true" }, svg("path.head", { d: HEAD }), ...eyes, mouth);
}

/** A user, or a server with `square`: the picture, or the initials on a colour that depends on the id. */
export function avatar({ id, name, picture }, { square = false } = {}) {
  const frame = h(
    square ? "span.avatar.square" : "span.avatar",
    { "--hue": hue(id), "aria-hidden": "true" },
    initials(name),
  );
  if (picture)
    h("img", { src: address(picture), alt: "", onload: ({ currentTarget }) => frame.replaceChildren(currentTarget) });
  return frame;
}

/** The avatar of a User, with a dot for online or offline where it is shown. */
export function face(user, online) {
  const dot =
    online === undefined ? null : h(online ? "span.dot.online" : "span.dot", { title: online ? "Online" : "Offline" });
  return h("span.face", {}, avatar({ id: user.id, name: user.displayName, picture: user.avatarUrl }), dot);
}

function initials(name) {
  const words = name
    .trim()
    .split(/[\s_.-]+/)
    .filter(Boolean);
  return (
    words
      .slice(0, 2)
      .map(([letter]) => letter)
      .join("")
      .toUpperCase() || "?"
  );
}

/** The hue of an id, the same in every window. */
export function hue(id) {
  let hash = 0x811c9dc5; // FNV-1a. The golden angle then separates similar hashes
  for (const character of id) hash = Math.imul(hash ^ character.codePointAt(0), 0x01000193) >>> 0;
  return Math.round(((hash % 1000) * 137.508) % 360);
}

const round = (fill) => svg("circle", { cx: 10, cy: 10, r: 8, fill });
const line = (d) =>
  svg("path", {
    d,
    fill: "none",
    stroke: "#5b3a12",
    "stroke-width": 1.5,
    "stroke-linecap": "round",
    "stroke-linejoin": "round",
  });
const dot = (cx, cy, r = 1.1) => svg("circle", { cx, cy, r, fill: "#5b3a12" });
// No prototype: a reaction may be any text, including "constructor".
const DRAWN = {
  __proto__: null,
  "👍": () => [
    svg("path", {
      d: "M6.8 9.2 9.6 3c1.4 0 2.3 1 2.1 2.4l-.4 2.6h3.6c1.3 0 2.1 1.1 1.8 2.3l-1.1 4.7c-.2 1-1 1.7-2 1.7H6.8Z",
      fill: "#f6bd3b",
    }),
    svg("rect", { x: 2.6, y: 8.8, width: 3.2, height: 8, rx: 1.2, fill: "#d99a1d" }),
  ],
  "❤️": () => [
    svg("path", { d: "M10 17.2 3.6 10.8a4.2 4.2 0 0 1 5.9-6l.5.5.5-.5a4.2 4.2 0 0 1 5.9 6Z", fill: "#e2504c" }),
  ],
  "😂": () => [
    round("#f8c94a"),
    line("M4.9 8.7 6.7 7.4l1.6 1.3M11.7 8.7l1.6-1.3 1.8 1.3"),
    svg("path", { d: "M5.7 11h8.6a4.3 4.3 0 0 1-8.6 0Z", fill: "#5b3a12" }),
    svg("path", {
      d: "M3.3 9.6c1 1.3 1.5 2.2 1.1 3a1.4 1.4 0 0 1-2.6-.6c0-.7.6-1.3 1.5-2.4ZM16.7 9.6c-1 1.3-1.5 2.2-1.1 3a1.4 1.4 0 0 0 2.6-.6c0-.7-.6-1.3-1.5-2.4Z",
      fill: "#4aa3df",
    }),
  ],
  "😮": () => [
    round("#f8c94a"),
    dot(7, 8.2),
    dot(13, 8.2),
    svg("ellipse", { cx: 10, cy: 13.2, rx: 1.9, ry: 2.3, fill: "#5b3a12" }),
  ],
  "😢": () => [
    round("#f8c94a"),
    dot(7, 9),
    dot(13, 9),
    line("M7.4 14c1.3-1.4 3.3-1.4 4.6 0"),
    svg("path", {
      d: "M14.6 10.6c1.1 1.6 1.7 2.5 1.3 3.4a1.5 1.5 0 0 1-2.7-.3c-.2-.8.4-1.6 1.4-3.1Z",
      fill: "#4aa3df",
    }),
  ],
  "🎉": () => [
    svg("path", { d: "M3 17.2 7 7.4l5.7 5.6Z", fill: "#f6bd3b" }),
    svg("path", {
      d: "M8.8 6.2c.2-1.8-.3-3-1.2-3.8M11.6 9.4c.5-2.8 2.1-4.4 4.6-4.6M13.6 11.8c1.5-.5 2.8-.3 3.9.6",
      fill: "none",
      stroke: "#e2504c",
      "stroke-width": 1.5,
      "stroke-linecap": "round",
    }),
    ...[
      [12.4, 3.4, "#4aa3df"],
      [16.9, 8.6, "#2c9a63"],
      [14.6, 16, "#a36bd6"],
      [4.4, 4.6, "#2c9a63"],
    ].map(([cx, cy, fill]) => svg("circle", { cx, cy, r: 1.2, fill })),
  ],
  "👀": () =>
    [5.6, 14.4].flatMap((cx) => [
      svg("ellipse", { cx, cy: 10, rx: 3.8, ry: 5.4, fill: "#fff", stroke: "#8a8f8d" }),
      svg("ellipse", { cx: cx - 1, cy: 11, rx: 1.9, ry: 2.6, fill: "#1b2523" }),
    ]),
  "🔥": () => [
    svg("path", {
      d: "M10.4 2c.5 2.6 4.9 4.7 4.9 9.3A5.3 5.3 0 0 1 10 17.6a5.3 5.3 0 0 1-5.3-5.6c0-2 .9-3.2 1.9-4.3.2 1.2.7 1.9 1.4 2.2C7.7 6.6 8.5 4 10.4 2Z",
      fill: "#ee7a35",
    }),
    svg("path", {
      d: "M10.2 9.8c.3 1.5 2.3 2.4 2.3 4.7a2.5 2.5 0 0 1-5 0c0-1.3.6-2 1.2-2.7.2.7.5 1 .8 1.1-.1-1.2.1-2.3.7-3.1Z",
      fill: "#fbd35a",
    }),
  ],
};

/** The emoji of the picker. */
export const REACTIONS = {
  __proto__: null,
  "👍": "Thumbs up",
  "❤️": "Heart",
  "😂": "Laughing",
  "😮": "Surprised",
  "😢": "Sad",
  "🎉": "Party",
  "👀": "Eyes",
  "🔥": "Fire",
};

/** An emoji: a drawing if there is one, else text. `spoken` is for emoji in text; a button has a label. */
export function emoji(character, { spoken = false } = {}) {
  const draw = DRAWN[character];
  if (!draw) return h("span.emoji", {}, character);
  const words = spoken ? { role: "img", "aria-label": REACTIONS[character] } : { "aria-hidden": "true" };
  return svg("svg.emoji", { viewBox: "0 0 20 20", ...words }, ...draw());
}
