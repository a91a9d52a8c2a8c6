import { once } from "node:events";

import { afterAll, afterEach, beforeAll, beforeEach, expect, test, vi } from "vitest";
import WebSocket, { WebSocketServer } from "ws";

import { WebSocketClient, type WebSocketClientEvents, type WebSocketClientOptions } from "../src/index.js";
import { Network, Server } from "./server.js";
import { until } from "./until.js";

let server: Server;
let network: Network;
const clients: WebSocketClient[] = [];

beforeAll(async () => {
  server = await Server.start();
});
afterAll(async () => {
  await server.stop();
});
beforeEach(async () => {
  network = await Network.to(server.port);
  // The test moves the client's timers. Its sockets and the server are real.
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "setInterval", "clearInterval"] });
});
afterEach(() => {
  for (const client of clients.splice(0)) {
    client.disconnect();
  }
  network.close();
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

function make(options: WebSocketClientOptions = {}): WebSocketClient {
  const client = new WebSocketClient({ url: network.url, WebSocket, ...options });
  clients.push(client);
  return client;
}

function next<Name extends keyof WebSocketClientEvents>(
  client: WebSocketClient,
  name: Name,
  wanted: (event: WebSocketClientEvents[Name]) => boolean = () => true,
): Promise<WebSocketClientEvents[Name]> {
  return new Promise((resolve) => {
    const stop = client.on(name, (event) => {
      if (wanted(event)) {
        stop();
        resolve(event);
      }
    });
  });
}

const statusChange = (client: WebSocketClient, status: string): Promise<WebSocketClientEvents["status"]> =>
  next(client, "status", (event) => event.status === status);

async function connected(options: WebSocketClientOptions = {}): Promise<WebSocketClient> {
  const client = make(options);
  const done = statusChange(client, "connected");
  client.connect();
  await done;
  return client;
}

/** Join a job and wait until the server has handled it. */
async function join(client: WebSocketClient, jobId: string): Promise<void> {
  client.join(jobId);
  await until(async () => (await server.broadcast(jobId, "stage")) > 0);
}

test("a job joined before connecting is followed until it is left", async () => {
  const client = make();
  const status = next(client, "job_status");
  client.join("followed");
  client.connect();
  await statusChange(client, "connected");
  await until(async () => (await server.broadcast("followed", "status")) > 0);
  expect(await status).toMatchObject({
    jobId: "followed",
    status: "RUNNING",
    currentStage: "OUTLINE",
    completedStages: ["PLAN"],
  });
  const stage = next(client, "stage_completed");
  const error = next(client, "job_error");
  await server.broadcast("followed", "stage");
  await server.broadcast("followed", "error");
  expect(await stage).toMatchObject({ jobId: "followed", stage: "OUTLINE", nextStage: "STORYBOARD" });
  expect(await error).toMatchObject({ jobId: "followed", error: "Stage execution failed", stage: "STORYBOARD" });
  client.leave("followed");
  await until(async () => (await server.broadcast("followed", "status")) === 0);
});

test("a client that joins late receives the last status at once", async () => {
  await server.broadcast("finished", "status");
  const client = await connected();
  const status = next(client, "job_status");
  client.join("finished");
  expect(await status).toMatchObject({ jobId: "finished", status: "RUNNING" });
});

test("a token that is refused is not tried again", async () => {
  const client = make({ token: "wrong" });
  const error = next(client, "error");
  client.connect();
  const { reconnectAttempts } = await statusChange(client, "error");
  expect(await error).toMatchObject({ name: "WebSocketError", code: "UNAUTHORIZED", message: "Authentication failed" });
  expect(reconnectAttempts).toBe(0);
  vi.advanceTimersByTime(60_000);
  expect([client.status, network.connections]).toEqual(["error", 1]);
});

test("reconnects 3000 ms after the connection was lost, and joins the same jobs", async () => {
  const client = await connected();
  await join(client, "lasting");
  const lost = statusChange(client, "disconnected");
  network.cut();
  expect(await lost).toEqual({ status: "disconnected", reconnectAttempts: 1 });
  vi.advanceTimersByTime(2999);
  expect(client.status).toBe("disconnected");
  const back = statusChange(client, "connected");
  vi.advanceTimersByTime(1);
  expect([client.status, client.reconnectAttempts]).toEqual(["connecting", 1]);
  expect(await back).toEqual({ status: "connected", reconnectAttempts: 0 });
  const stage = next(client, "stage_completed");
  await until(async () => (await server.broadcast("lasting", "stage")) > 0);
  expect(await stage).toMatchObject({ jobId: "lasting" });
});

/** Let a client lose its connection, and wait until the server knows. Returns how many events of the job it missed. */
async function lose(client: WebSocketClient, jobId: string): Promise<number> {
  const lost = statusChange(client, "disconnected");
  network.cut();
  await lost;
  let missed = 0;
  await until(async () => {
    const recipients = await server.broadcast(jobId, "stage");
    missed += 1; // also if it went to the old connection: the client has not got it
    return recipients === 0;
  });
  return missed;
}

async function comeBack(client: WebSocketClient): Promise<void> {
  const back = statusChange(client, "connected");
  vi.advanceTimersByTime(3000);
  await back;
}

/** What a client receives and sends, in order. A heartbeat is not part of it. */
function recordOf(client: WebSocketClient): string[] {
  const record: string[] = [];
  client.on("connected", ({ recovered }) => record.push(recovered ? "recovered" : "new"));
  client.on("job_status", (status) => record.push(`status ${status.jobId} ${Object.keys(status).join()}`));
  client.on("stage_completed", ({ jobId }) => record.push(`stage ${jobId}`));
  client.on("job_error", ({ jobId }) => record.push(`error ${jobId}`));
  client.on("sent", (frame) => {
    if ("jobId" in frame) record.push(`${frame.type} ${frame.jobId}`);
  });
  return record;
}

/** Wait until the client has received everything that the server has sent to it. */
async function settle(client: WebSocketClient): Promise<void> {
  client.join("settling");
  await until(async () => (await server.broadcast("settling", "error")) > 0);
  await next(client, "job_error", ({ jobId }) => jobId === "settling");
  client.leave("settling");
}

const STATUS = "jobId,status,currentStage,completedStages,timestamp";

test("a client that lost its connection gets what it missed, once and in order, and joins nothing again", async () => {
  const client = make();
  const record = recordOf(client);
  client.connect();
  await statusChange(client, "connected");
  expect(client.recovered).toBe(false);
  await join(client, "kept");
  await next(client, "stage_completed");
  for (const turn of [1, 2]) {
    record.length = 0;
    const missed = await lose(client, "kept");
    await server.broadcast("kept", "status");
    await server.broadcast("kept", "error");
    await comeBack(client);
    expect(client.recovered).toBe(true);
    await server.broadcast("kept", turn === 1 ? "status" : "stage");
    await settle(client);
    expect(record.filter((each) => !each.includes("settling"))).toEqual([
      "recovered",
      ...Array<string>(missed).fill("stage kept"),
      `status kept ${STATUS}`,
      "error kept",
      turn === 1 ? `status kept ${STATUS}` : "stage kept",
    ]);
  }
});

test("a join that no event has confirmed is repeated only if the missed events do not confirm it", async () => {
  const client = await connected();
  const record = recordOf(client);
  client.join("late");
  await settle(client);
  client.join("unknown");
  record.length = 0;
  await lose(client, "another");
  await server.broadcast("late", "status");
  await server.broadcast("new", "status");
  client.join("new");
  await comeBack(client);
  await until(() => record.at(-1) === `status new ${STATUS}`);
  expect(record.filter((each) => !each.includes("settling"))).toEqual([
    "recovered",
    `status late ${STATUS}`,
    "join_job unknown",
    "join_job new",
    `status new ${STATUS}`,
  ]);
});

test("a job that a listener joins when the client has connected is joined once", async () => {
  const client = make();
  const record = recordOf(client);
  client.on("connected", ({ recovered }) => {
    client.join(recovered ? "in-recovered" : "in-connected");
  });
  client.on("status", ({ status }) => {
    if (status === "connected" && client.recovered) client.join("in-status");
  });
  client.connect();
  await statusChange(client, "connected");
  await settle(client);
  const sent = (): string[] => record.filter((each) => !each.includes("settling"));
  expect(sent()).toEqual(["new", "join_job in-connected"]);

  await lose(client, "another");
  record.length = 0;
  await comeBack(client);
  await until(() => sent().includes("join_job in-connected")); // after the missed events, which may have confirmed it
  await settle(client);
  expect(sent()).toEqual(["recovered", "join_job in-recovered", "join_job in-status", "join_job in-connected"]);
});

test.each(["before the loss", "after it"])("a job that was left %s is left on the server", async (when) => {
  const client = await connected();
  const jobId = when.replaceAll(" ", "-");
  await join(client, jobId);
  await next(client, "stage_completed");
  if (when === "before the loss") {
    network.frozen = true; // the server does not read it
    client.leave(jobId);
  }
  await lose(client, jobId);
  network.frozen = false;
  client.leave(jobId);
  await comeBack(client);
  expect(client.recovered).toBe(true);
  await until(async () => (await server.broadcast(jobId, "stage")) === 0);
});

test("a connection after disconnect() is a new one", async () => {
  const client = await connected();
  await join(client, "again");
  client.disconnect();
  await until(async () => (await server.broadcast("again", "stage")) === 0);
  const record = recordOf(client);
  client.connect();
  await statusChange(client, "connected");
  await settle(client);
  expect(record.filter((each) => !each.includes("settling"))).toEqual(["new", "join_job again"]);
  expect(client.recovered).toBe(false);
});

test("gives up after five attempts; connect() starts again", async () => {
  network.down = true;
  const client = make();
  const codes: string[] = [];
  client.on("error", ({ code }) => codes.push(code));
  let failed = statusChange(client, "disconnected");
  client.connect();
  for (const attempt of [1, 2, 3, 4, 5]) {
    expect(await failed).toEqual({ status: "disconnected", reconnectAttempts: attempt });
    failed = statusChange(client, attempt < 5 ? "disconnected" : "error");
    vi.advanceTimersByTime(3000);
  }
  expect(await failed).toEqual({ status: "error", reconnectAttempts: 5 });
  await Promise.resolve();
  expect(codes).toEqual([...Array<string>(6).fill("CONNECTION_FAILED"), "GAVE_UP"]);
  vi.advanceTimersByTime(60_000);
  expect(network.connections).toBe(6);

  network.down = false;
  const back = statusChange(client, "connected");
  client.connect();
  expect([client.status, client.reconnectAttempts]).toEqual(["connecting", 0]);
  await back;
});

test("connect() twice makes one connection; disconnect() ends it, or the wait for the next attempt", async () => {
  const client = await connected();
  client.connect();
  client.disconnect();
  expect([client.status, client.reconnectAttempts]).toEqual(["disconnected", 0]);
  await until(() => network.open === 0);
  expect(network.connections).toBe(1);

  client.connect();
  await statusChange(client, "connected");
  const lost = statusChange(client, "disconnected");
  network.cut();
  await lost;
  client.disconnect();
  vi.advanceTimersByTime(60_000);
  expect([client.status, client.reconnectAttempts, network.connections]).toEqual(["disconnected", 0, 2]);
});

test("a client that disconnects at once opens no connection", async () => {
  const client = make();
  client.connect();
  client.disconnect();
  client.connect();
  await statusChange(client, "connected");
  expect(network.connections).toBe(1);
});

test("a listener may replace the connection whose frame it receives", async () => {
  const client = make();
  let replaced = false;
  client.on("received", () => {
    if (!replaced) {
      replaced = true;
      client.disconnect();
      client.connect();
    }
  });
  client.connect();
  await statusChange(client, "connected");
  await join(client, "replaced");
  expect(network.connections).toBe(2);
});

test("pings at the server's interval, and drops a connection without an answer", async () => {
  const client = await connected();
  const sent: string[] = [];
  client.on("sent", ({ type }) => sent.push(type));
  for (let beat = 0; beat < 2; beat++) {
    const pong = next(client, "received", ({ type }) => type === "pong");
    vi.advanceTimersByTime(30_000);
    await pong;
  }
  expect(sent).toEqual(["ping", "ping"]);
  network.frozen = true;
  vi.advanceTimersByTime(30_000);
  expect(client.status).toBe("connected");
  vi.advanceTimersByTime(30_000);
  expect([client.status, client.reconnectAttempts]).toEqual(["disconnected", 1]);
});

test("an attempt has a time limit, which includes the wait for the token", async () => {
  network.frozen = true;
  const client = make();
  const error = next(client, "error");
  client.connect();
  await until(() => network.open === 1);
  vi.advanceTimersByTime(10_000);
  expect(await error).toMatchObject({ code: "CONNECTION_FAILED" });
  expect(client.status).toBe("disconnected");

  const waiting = make({ token: () => new Promise<string>(() => undefined) });
  waiting.connect();
  vi.advanceTimersByTime(10_000);
  expect([waiting.status, waiting.reconnectAttempts]).toEqual(["disconnected", 1]);
});

test("a token function is called for each attempt, and may fail", async () => {
  const tokens = ["wrong", "a token of the tests"];
  const getToken = vi.fn(() => {
    const token = tokens.pop();
    return token === undefined ? Promise.reject(new Error("signed out")) : Promise.resolve(token);
  });
  const client = await connected({ token: getToken });
  const refused = statusChange(client, "error");
  network.cut();
  await statusChange(client, "disconnected");
  vi.advanceTimersByTime(3000);
  await refused;
  const error = next(client, "error");
  client.connect();
  expect((await error).message).toBe("The connection could not be made: signed out");
  expect(getToken).toHaveBeenCalledTimes(3);
});

test("a message that is not a frame only causes an error; an unknown frame is only received", async () => {
  const garbage = new WebSocketServer({ port: 0, host: "127.0.0.1" });
  garbage.on("connection", (socket) => {
    socket.send('{"type":"connection_established","clientId":"c","timestamp":"","heartbeatInterval":30000}');
    for (const text of ["{", "null", '"x"', "{}", '{"type":1}', '{"type":"unknown"}']) {
      socket.send(text);
    }
    socket.send(Buffer.from("binary"));
  });
  await once(garbage, "listening");
  const { port } = garbage.address() as { port: number };
  const client = make({ url: `http://127.0.0.1:${port}/ws#top` });
  const codes: string[] = [];
  const received: string[] = [];
  client.on("error", ({ code }) => codes.push(code));
  client.on("received", ({ type }) => received.push(type));
  client.connect();
  await until(() => codes.length === 6);
  expect(codes).toEqual(Array(6).fill("INVALID_FRAME"));
  expect(received).toEqual(["connection_established", "unknown"]);
  expect(client.status).toBe("connected");
  client.disconnect();
  garbage.close();
});

test("without a WebSocket or a page the error names the option to pass", async () => {
  vi.stubGlobal("WebSocket", undefined);
  for (const [options, option] of [[{ url: network.url }, "WebSocket"], [{ WebSocket }, "url"]] as const) {
    const client = new WebSocketClient(options);
    const error = next(client, "error");
    client.connect();
    expect((await error).message).toContain(`pass the option ${option}`);
    client.disconnect();
  }
});

test("a listener that throws does not stop other listeners, and the function that `on` returned removes it", async () => {
  const uncaught: unknown[] = [];
  const listeners = process.listeners("uncaughtException");
  process.removeAllListeners("uncaughtException");
  process.once("uncaughtException", (error) => uncaught.push(error));
  const client = make();
  const stop = client.on("status", () => {
    throw new Error("from the listener");
  });
  const connecting = statusChange(client, "connecting");
  client.connect();
  stop();
  await connecting;
  await statusChange(client, "connected");
  for (const listener of listeners) {
    process.on("uncaughtException", listener);
  }
  expect(uncaught).toEqual([new Error("from the listener")]);
});

test("logs if localStorage enables it, and never the token", async () => {
  const log = vi.spyOn(console, "debug").mockImplementation(() => undefined);
  const store = new Map<string, string>();
  vi.stubGlobal("localStorage", { getItem: (key: string) => store.get(key) ?? null });
  (await connected()).disconnect();
  expect(log).not.toHaveBeenCalled();
  store.set("ws-debug", "true");
  (await connected({ token: "a token of the tests" })).disconnect();
  const logged = JSON.stringify(log.mock.calls);
  expect(logged).toContain("connection_established");
  expect(logged).not.toContain("a%20token");
  expect(logged).not.toContain("a+token");
  expect(logged).not.toContain("a token of");
  log.mockRestore();
});
