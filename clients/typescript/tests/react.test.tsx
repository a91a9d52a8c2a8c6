// @vitest-environment happy-dom
import { StrictMode, useEffect, type ReactElement } from "react";
import { createRoot, type Root } from "react-dom/client";
import { afterAll, afterEach, beforeAll, beforeEach, expect, test, vi } from "vitest";
import WebSocket from "ws";

import { WebSocketClient } from "../src/index.js";
import { useWebSocket, type UseWebSocketOptions, type UseWebSocketResult } from "../src/react.js";
import { Network, Server } from "./server.js";
import { until } from "./until.js";

let server: Server;
let network: Network;
let root: Root;
let hook: UseWebSocketResult | undefined;
/** The states of the connection that the hook returned, in order. */
let statuses: string[];

beforeAll(async () => {
  server = await Server.start();
});
afterAll(async () => {
  await server.stop();
});
beforeEach(async () => {
  network = await Network.to(server.port);
  hook = undefined;
  statuses = [];
  root = createRoot(document.body.appendChild(document.createElement("div")));
});
afterEach(() => {
  root.unmount();
  network.close();
  vi.useRealTimers();
});

function Follower(options: UseWebSocketOptions): ReactElement {
  const result = useWebSocket(options);
  useEffect(() => {
    hook = result;
    if (statuses.at(-1) !== result.connectionStatus) statuses.push(result.connectionStatus);
  });
  return <p>{result.connectionStatus}</p>;
}

function render(options: UseWebSocketOptions): void {
  root.render(
    <StrictMode>
      <Follower url={network.url} WebSocket={WebSocket} {...options} />
    </StrictMode>,
  );
}

const status = (wanted: string): Promise<boolean> => until(() => hook?.connectionStatus === wanted);

/** Make the server send an event as soon as a client is in the room. */
const broadcast = (jobId: string, event: "status" | "stage" | "error"): Promise<boolean> =>
  until(async () => (await server.broadcast(jobId, event)) > 0);

test("follows a job over one connection, also with the double effects of StrictMode", async () => {
  const onConnectionChange = vi.fn();
  const onJobStatusUpdate = vi.fn();
  const onStageCompleted = vi.fn();
  const onJobError = vi.fn();
  render({ jobId: "one", onConnectionChange, onJobStatusUpdate, onStageCompleted, onJobError });
  await status("connected");
  expect(statuses.slice(-2)).toEqual(["connecting", "connected"]);
  for (const event of ["status", "stage", "error"] as const) {
    await broadcast("one", event);
  }
  await until(() => onJobError.mock.calls.length > 0);
  expect(onJobStatusUpdate).toHaveBeenCalledExactlyOnceWith(expect.objectContaining({ jobId: "one", status: "RUNNING" }));
  expect(onStageCompleted).toHaveBeenCalledExactlyOnceWith(expect.objectContaining({ stage: "OUTLINE" }));
  expect(onJobError).toHaveBeenCalledExactlyOnceWith(expect.objectContaining({ error: "Stage execution failed" }));
  expect(onConnectionChange.mock.calls).toEqual([[true]]);
  expect(network.connections).toBe(1);
});

test("callbacks may change with every render, and another job is joined on the same connection", async () => {
  const received: string[] = [];
  const renderFor = (name: string, jobId: string): void => {
    render({ jobId, onStageCompleted: (stage) => received.push(`${name} ${stage.jobId}`) });
  };
  renderFor("first", "a");
  await status("connected");
  await broadcast("a", "stage");
  await until(() => received.length === 1);
  const before = hook;
  renderFor("second", "b");
  await broadcast("b", "stage");
  await until(() => received.length === 2);
  expect(await server.broadcast("a", "stage")).toBe(0);
  expect(received).toEqual(["first a", "second b"]);
  expect(network.connections).toBe(1);
  expect(hook).toMatchObject({ connect: before?.connect, disconnect: before?.disconnect });
});

test("components that share a client share its connection, and a job until the last one has left it", async () => {
  const client = new WebSocketClient({ url: network.url, WebSocket });
  const received: string[] = [];
  const renderFor = (...jobIds: string[]): void => {
    root.render(
      jobIds.map((jobId, place) => (
        <Follower
          key={place}
          client={client}
          jobId={jobId}
          onStageCompleted={(stage) => received.push(`${place} ${stage.jobId}`)}
        />
      )),
    );
  };
  renderFor("c", "d", "d");
  await status("connected");
  await broadcast("c", "stage");
  await broadcast("d", "stage");
  await until(() => received.length === 3);
  renderFor("c", "d");
  await until(() => document.body.querySelectorAll("p").length === 2);
  await broadcast("d", "stage");
  await until(() => received.length === 4);
  expect(received).toEqual(["0 c", "1 d", "2 d", "1 d"]);
  renderFor();
  await until(() => client.jobs.length === 0);
  expect([client.status, network.connections]).toEqual(["connected", 1]);
  client.disconnect();
});

test("a component that follows a job of a shared client too gets its last status", async () => {
  const client = new WebSocketClient({ url: network.url, WebSocket });
  const received: string[] = [];
  const renderFor = (...names: string[]): void => {
    root.render(
      names.map((name) => (
        <Follower
          key={name}
          client={client}
          jobId="shared"
          onJobStatusUpdate={(job) => received.push(`${name} ${job.currentStage}`)}
        />
      )),
    );
  };
  renderFor("first");
  await status("connected");
  await broadcast("shared", "status");
  await until(() => received.length === 1);
  renderFor("first", "second");
  await until(() => received.length === 2);
  expect(received).toEqual(["first OUTLINE", "second OUTLINE"]);
  renderFor();
  await until(() => client.jobs.length === 0);
  expect(client.statusOf("shared")).toBeUndefined();
  client.disconnect();
});

test("disconnect(), connect() and unmounting change the connection", async () => {
  const onConnectionChange = vi.fn();
  render({ jobId: "x", onConnectionChange });
  await status("connected");
  hook?.disconnect();
  await status("disconnected");
  await until(() => network.open === 0);
  hook?.connect();
  await status("connected");
  expect(onConnectionChange.mock.calls).toEqual([[true], [false], [true]]);
  root.unmount();
  await until(() => network.open === 0);
  expect(onConnectionChange).toHaveBeenCalledTimes(3);
});

test("another token makes another connection; a token that is refused is an error", async () => {
  const onError = vi.fn();
  const onConnectionChange = vi.fn();
  render({ token: "a token of the tests", onError, onConnectionChange });
  await status("connected");
  render({ token: "wrong", onError, onConnectionChange });
  await status("error");
  expect(onError).toHaveBeenCalledExactlyOnceWith(expect.objectContaining({ code: "UNAUTHORIZED" }));
  expect(onConnectionChange.mock.calls).toEqual([[true], [false]]);
  render({ token: () => "a token of the tests", onError, onConnectionChange });
  await status("connected");
  await until(() => network.open === 1);
  expect(network.connections).toBe(3);
});

test("reconnects five times, gives up, and connects again on connect()", async () => {
  render({ jobId: "y" });
  await status("connected");
  // Only the client's timers: the sockets, the server and React's scheduling are real.
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "setInterval", "clearInterval"] });
  network.down = true;
  network.cut();
  for (const attempt of [1, 2, 3, 4, 5]) {
    await until(() => hook?.connectionStatus === "disconnected" && hook.reconnectAttempts === attempt);
    vi.advanceTimersByTime(3000);
  }
  await status("error");
  expect([hook?.reconnectAttempts, network.connections]).toEqual([5, 6]);
  network.down = false;
  hook?.connect();
  await status("connected");
  expect(hook?.reconnectAttempts).toBe(0);
  await broadcast("y", "stage");
});

test("gets what it missed while the connection was lost, and says so before", async () => {
  const calls: string[] = [];
  render({
    jobId: "z",
    onConnected: ({ recovered }) => calls.push(recovered ? "recovered" : "new"),
    onJobStatusUpdate: ({ status }) => calls.push(status),
    onStageCompleted: ({ stage }) => calls.push(stage),
  });
  await status("connected");
  expect(hook?.recovered).toBe(false);
  await broadcast("z", "stage");
  await until(() => calls.length === 2);
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "setInterval", "clearInterval"] });
  network.down = true;
  network.cut();
  await status("disconnected");
  await server.broadcast("z", "status");
  network.down = false;
  vi.advanceTimersByTime(3000);
  await status("connected");
  await until(() => calls.length === 4);
  expect(calls).toEqual(["new", "OUTLINE", "recovered", "RUNNING"]);
  expect(hook?.recovered).toBe(true);
});
