// Clients of JSON WebSockets, driven by JSON lines: commands on stdin, replies and what the clients receive on stdout.
// tests/support/json_client.py is the other end. `open` makes a plain WebSocket, `follow` the package's own client for jobs.
import { createInterface } from "node:readline";
import { WebSocketClient } from "../../clients/typescript/dist/index.js";

const WebSocket = globalThis.WebSocket ?? (await import("ws")).WebSocket; // Node has one since version 22
const clients = new Map(); // number of the client -> { send, close }

const write = (line) => process.stdout.write(JSON.stringify(line) + "\n");

const commands = {
  open({ client, url }) {
    const socket = new WebSocket(url);
    socket.addEventListener("open", () => write({ client, signal: "open" }));
    socket.addEventListener("message", ({ data }) => write({ client, signal: "frame", frame: JSON.parse(data) }));
    socket.addEventListener("close", ({ code, reason }) => write({ client, signal: "close", code, reason }));
    socket.addEventListener("error", () => undefined); // `close` follows
    clients.set(client, { send: (frame) => socket.send(JSON.stringify(frame)), close: () => socket.close() });
  },
  follow({ client, url, token }) {
    const follower = new WebSocketClient({ url, token, WebSocket, maxReconnectAttempts: 0 });
    follower.on("status", ({ status }) => {
      if (status === "connected") write({ client, signal: "open" });
      if (status === "error") write({ client, signal: "close", code: null, reason: "error" });
    });
    follower.on("received", (frame) => write({ client, signal: "frame", frame }));
    follower.on("error", ({ code, message }) => write({ client, signal: "error", code, message }));
    const events = { join_job: ({ jobId }) => follower.join(jobId), leave_job: ({ jobId }) => follower.leave(jobId) };
    clients.set(client, { send: (frame) => events[frame.type](frame), close: () => follower.disconnect() });
    follower.connect();
  },
  send({ client, frame }) {
    clients.get(client).send(frame);
  },
  close({ client }) {
    clients.get(client).close();
  },
};

for await (const line of createInterface({ input: process.stdin })) {
  const { command, ...rest } = JSON.parse(line);
  commands[command](rest);
}
process.exit(0);
