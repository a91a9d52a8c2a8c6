// Stock socket.io-client sockets, driven by JSON lines: commands on stdin, replies and all events
// of the sockets on stdout. node_client.py is the other end and documents the commands.
import { createInterface } from "node:readline";
import { Manager } from "socket.io-client";

const sockets = new Map(); // number of the socket -> the socket
const answers = new Map(); // number of the socket -> Map(event -> arguments of the ack)

const write = (line) => process.stdout.write(JSON.stringify(line) + "\n");

// Bytes travel as {"$binary": base64}, at any depth.
const pack = (value) => {
  if (Buffer.isBuffer(value)) return { $binary: value.toString("base64") };
  if (value instanceof ArrayBuffer) return pack(Buffer.from(value));
  if (Array.isArray(value)) return value.map(pack);
  if (value && typeof value === "object")
    return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, pack(inner)]));
  return value;
};
const unpack = (value) => {
  if (Array.isArray(value)) return value.map(unpack);
  if (value && typeof value === "object") {
    if (typeof value.$binary === "string") return Buffer.from(value.$binary, "base64");
    return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, unpack(inner)]));
  }
  return value;
};

const status = (error) => {
  const match = /Unexpected server response: (\d+)/.exec(error.description?.message ?? "");
  return match ? Number(match[1]) : (error.context?.status ?? null);
};

const watch = (number, socket) => {
  sockets.set(number, socket);
  answers.set(number, new Map());
  const report = (signal, rest = {}) => write({ socket: number, signal, ...rest });
  socket.on("connect", () => {
    const transport = socket.io.engine.transport.name;
    report("connect", { id: socket.id, recovered: Boolean(socket.recovered), transport });
  });
  socket.on("connect_error", (error) =>
    report("connect_error", { message: error.message, data: pack(error.data), status: status(error) }),
  );
  socket.on("disconnect", (reason) => report("disconnect", { reason, active: socket.active }));
  socket.onAny((event, ...args) => {
    const ack = typeof args.at(-1) === "function" ? args.pop() : null;
    report("event", { event, args: pack(args), asksForAck: ack !== null });
    if (ack && answers.get(number).has(event)) ack(...answers.get(number).get(event));
  });
};

const commands = {
  open({ socket, url, namespace, options, auth }) {
    const manager = new Manager(url, { reconnection: false, ...options, autoConnect: false });
    manager.on("open", () => {
      manager.engine.on("upgrade", (transport) => write({ socket, signal: "upgrade", transport: transport.name }));
    });
    const { retries, ackTimeout } = options;
    watch(socket, manager.socket(namespace, { auth, retries, ackTimeout: ackTimeout ?? undefined }));
    sockets.get(socket).connect();
  },
  share({ socket, of, namespace, auth }) {
    watch(socket, sockets.get(of).io.socket(namespace, { auth }));
    sockets.get(socket).connect();
  },
  reconnect({ socket, auth }) {
    if (auth !== null) sockets.get(socket).auth = auth;
    sockets.get(socket).connect();
  },
  move({ socket, url }) {
    // It connects to another server from now on.
    sockets.get(socket).io.uri = url;
  },
  emit({ socket, event, args }) {
    sockets.get(socket).emit(event, ...unpack(args));
  },
  async deliver({ socket, event, args }) {
    return pack(await sockets.get(socket).emitWithAck(event, ...unpack(args)));
  },
  async call({ socket, event, args, timeout }) {
    return pack(
      await new Promise((resolve, reject) =>
        sockets
          .get(socket)
          .timeout(timeout * 1000)
          .emit(event, ...unpack(args), (error, ...reply) => (error ? reject(error) : resolve(reply))),
      ),
    );
  },
  answer({ socket, event, args }) {
    answers.get(socket).set(event, unpack(args));
  },
  disconnect({ socket }) {
    sockets.get(socket).disconnect();
  },
  pid({ socket }) {
    return sockets.get(socket)._pid;
  },
  set_pid({ socket, pid }) {
    sockets.get(socket)._pid = pid;
  },
  vanish({ socket }) {
    // As after a change of network: the client gives its transport up, and the server does not notice.
    const { engine } = sockets.get(socket).io;
    engine.transport.removeAllListeners();
    engine.transport.doClose = () => {};
    engine.transport.write = () => {};
    engine.transport.doPoll = () => {};
    engine._onClose("transport close");
  },
  drop({ socket }) {
    sockets.get(socket).io.engine.close();
  },
};

for await (const line of createInterface({ input: process.stdin })) {
  const { command, request, ...rest } = JSON.parse(line);
  try {
    Promise.resolve(commands[command](rest)).then(
      (result) => write({ request, result: result ?? null }),
      (error) => write({ request, error: String(error) }),
    );
  } catch (error) {
    write({ request, error: String(error) });
  }
}
process.exit(0);
