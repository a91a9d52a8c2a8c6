// Many stock socket.io-client sockets of three versions, which reconnect by themselves. The first line that it reads is
// JSON: {url, tokens, options}, with one client for each token. Client number N has version N % 3 and transports N / 3 % 3.
//
// It writes a line when all have connected once. Then it reads commands, each a line, and writes a line for each:
//   await NUMBER   wait until all are connected and have got the event `n` with this number, or a later one. Tells what
//                  each client has seen (see recovery_clients.py), and who is still waiting after 120 s
//   end            end
import { createInterface } from "node:readline";
import { Manager as Manager46 } from "socket.io-client-4.6";
import { Manager as Manager47 } from "socket.io-client-4.7";
import { Manager as Manager48 } from "socket.io-client";

const VERSIONS = [
  ["4.6", Manager46],
  ["4.7", Manager47],
  ["4.8", Manager48],
];
const TRANSPORTS = [["websocket"], ["polling", "websocket"], ["polling"]];
const PATIENCE = 120_000;

const AT_ONCE = 50; // clients that begin to connect in the same moment
const PAUSE = 50;

const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
const { url, tokens, options } = JSON.parse((await lines.next()).value);
const write = (line) => process.stdout.write(JSON.stringify(line) + "\n");
const now = () => performance.now() / 1000;

class Client {
  connections = [];
  losses = [];
  errors = {};
  last = 0;
  opened = 0;
  lostAt = null;
  early = []; // what came before `connect`
  there = false; // `connect` was the last that happened

  constructor(number, token) {
    const [version, Manager] = VERSIONS[number % VERSIONS.length];
    this.version = version;
    this.transports = TRANSPORTS[Math.floor(number / VERSIONS.length) % TRANSPORTS.length];
    this.manager = new Manager(url, { ...options, transports: this.transports, forceNew: true, autoConnect: false });
    this.manager.on("open", () => this.opened++);
    this.socket = this.manager.socket("/", { auth: { token } });
    this.socket.on("connect", () => this.connected());
    this.socket.on("disconnect", (reason) => {
      // It is also told when a transport ends before `connect`.
      if (this.there) {
        this.losses.push(reason);
        this.lostAt = now();
      }
      this.there = false;
    });
    this.socket.on("connect_error", (error) => {
      const why = [error.message, error.description?.message ?? error.description, error.context?.status].join(" ");
      this.errors[why] = (this.errors[why] ?? 0) + 1;
    });
    this.socket.on("n", (value) => {
      if (!this.there) this.early.push(value);
      else this.take(value);
    });
    this.socket.connect();
  }

  connected() {
    const recovered = Boolean(this.socket.recovered);
    const away = this.lostAt === null ? 0 : now() - this.lostAt;
    const transport = this.socket.io.engine.transport.name;
    const connection = { recovered, away, opened: this.opened, transport, runs: [], at: Date.now() / 1000 };
    // Without recovery, what came before was kept by the client when an earlier attempt broke. It is of the last session.
    if (recovered || this.connections.length === 0) this.connections.push(connection);
    for (const value of this.early.splice(0)) this.take(value);
    if (this.connections.at(-1) !== connection) this.connections.push(connection);
    this.there = true;
    this.opened = 0;
    changed();
  }

  take(value) {
    const { runs } = this.connections.at(-1);
    const run = runs.at(-1);
    if (run !== undefined && value === run[1] + 1) run[1] = value;
    else runs.push([value, value]);
    this.last = value;
    changed();
  }

  get report() {
    const { version, transports, connections, losses, errors } = this;
    return { version, transports, connections, losses, errors };
  }
}

let changed = () => {};
const clients = [];
for (const [number, token] of tokens.entries()) {
  if (number > 0 && number % AT_ONCE === 0) await new Promise((resolve) => setTimeout(resolve, PAUSE));
  clients.push(new Client(number, token));
}

const until = (holds) =>
  new Promise((resolve) => {
    const end = (outcome) => {
      clearTimeout(timer);
      changed = () => {};
      resolve(outcome);
    };
    const timer = setTimeout(() => end(false), PATIENCE);
    changed = () => holds() && end(true);
    changed();
  });

await until(() => clients.every((client) => client.connections.length > 0));
const refused = clients.filter((client) => client.connections.length === 0);
write({ waiting: refused.map((client) => client.errors) });
for await (const line of lines) {
  const [command, argument] = line.split(" ");
  if (command === "await") {
    const waits = (client) => !client.socket.connected || client.last < Number(argument);
    await until(() => !clients.some(waits));
    const waiting = clients.flatMap((client, number) => (waits(client) ? [number] : []));
    write({ waiting, clients: clients.map((client) => client.report) });
  } else {
    break;
  }
}
process.exit(0);
