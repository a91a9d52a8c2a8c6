// The processes of the app and their load.

import { attempt, h, incomplete } from "./dom.js";
import { bytes, count, duration, milliseconds, percent } from "./format.js";
import { table } from "./table.js";

const SECONDS = 3;
const COLUMNS = [
  { title: "Process", by: ({ node }) => `${node.host} ${node.pid}` },
  { title: "Version", by: ({ node }) => node.version },
  { title: "Up", number: true, by: ({ node }) => node.uptime },
  { title: "Connections", number: true, by: ({ node }) => total(node, 0) },
  { title: "Rooms", number: true, by: ({ node }) => total(node, 1) },
  { title: "Loop lag", number: true, by: ({ node }) => node.lag },
  { title: "CPU", number: true, by: ({ share }) => share },
  { title: "Memory", number: true, by: ({ node }) => node.memory },
  { title: "Tasks", number: true, by: ({ node }) => node.tasks },
  { title: "Waiting", number: true, by: ({ node }) => node.waiting },
];

export function nodesView(root, { link, repeat }) {
  const missing = h("div", { role: "status" });
  const list = table("Processes", COLUMNS, cells, "No process has answered.");
  const figures = h("div", { class: "figures" });
  root.append(h("h1", {}, "Nodes"), figures, missing);
  const before = new Map();

  repeat(SECONDS, async () => {
    const found = await attempt(() => link.ask("nodes"));
    if (!found) return;
    const { nodes, complete, missing: silent } = found;
    const sum = (what) => nodes.reduce((total, node) => total + what(node), 0);
    figures.replaceChildren(
      figure(nodes.length === 1 ? "process" : "processes", count(nodes.length)),
      figure("connections", count(sum((node) => total(node, 0)))),
      figure("waiting for clients", bytes(sum((node) => node.waiting))),
    );
    const rows = nodes.map((node) => {
      const earlier = before.get(node.id);
      const share = earlier && (node.cpu - earlier.cpu) / (node.uptime - earlier.uptime);
      before.set(node.id, node);
      return { node, share };
    });
    const names = silent.length ? h("p", {}, `No answer from: ${silent.join(", ")}`) : null;
    missing.replaceChildren(...[incomplete(complete), names].filter(Boolean));
    list.show(rows);
    if (!list.element.isConnected) root.append(list.element);
  });
}

function cells({ node, share }) {
  return [
    h("span", {}, `${node.host}, process ${node.pid}`, h("small", {}, node.asked ? `${node.id} (this page)` : node.id)),
    node.version,
    duration(node.uptime),
    h("span", {}, count(total(node, 0)), h("small", {}, perGateway(node))),
    count(total(node, 1)),
    milliseconds(node.lag),
    percent(share),
    bytes(node.memory),
    count(node.tasks),
    bytes(node.waiting),
  ];
}

function figure(label, value) {
  return h("p", {}, h("strong", {}, value), " ", label);
}

function total(node, index) {
  return Object.values(node.gateways).reduce((sum, counts) => sum + counts[index], 0);
}

function perGateway(node) {
  return Object.entries(node.gateways)
    .map(([name, counts]) => `${name}: ${count(counts[0])}`)
    .join(", ");
}
