// The page /websocket-test for the command line: starts a job on the Flask example, or follows jobs, and shows every frame.
//
//   node websocket-test.mjs [--url http://localhost:3001] [--token demo-token] [--seconds 1.5] [--fail-at STAGE] [JOB...]
//
// Exits with 0 if all jobs have completed, and with 1 if one failed or the connection was lost for good.
import { parseArgs } from "node:util";

let WebSocketClient;
try {
  ({ WebSocketClient } = await import("./dist/index.js"));
} catch (error) {
  if (error.code !== "ERR_MODULE_NOT_FOUND") throw error;
  console.error("The client has not been built: npm run build");
  process.exit(1);
}

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    url: { type: "string", default: "http://localhost:3001" },
    token: { type: "string", default: "demo-token" },
    seconds: { type: "string", default: "1.5" },
    "fail-at": { type: "string" },
  },
});

const client = new WebSocketClient({
  url: new URL("/ws", values.url),
  token: values.token,
  WebSocket: globalThis.WebSocket ?? (await import("ws")).WebSocket, // Node has one since version 22
});
const unfinished = new Set(positionals);

client.on("received", ({ type, ...rest }) => print("<", type, rest.data ?? rest));
client.on("sent", ({ type, ...rest }) => print(">", type, rest));
client.on("error", ({ code, message }) => {
  print("!", code, { message });
  if (code === "FORBIDDEN") end(1); // the job does not exist, or belongs to another user
});
client.on("status", ({ status, reconnectAttempts }) => {
  print("*", status, reconnectAttempts ? { reconnectAttempts } : {});
  if (status === "error") end(1);
});
client.on("job_status", ({ jobId, status }) => {
  if (status === "FAILED") process.exitCode = 1;
  if (status === "COMPLETED" || status === "FAILED") unfinished.delete(jobId);
  // Later, because the reason of a failure is sent after the status.
  if (unfinished.size === 0) setTimeout(end, 250, process.exitCode ?? 0);
});

if (positionals.length === 0) {
  try {
    unfinished.add(await startJob());
  } catch (error) {
    print("!", "REST", { message: error.message });
    end(1);
  }
}
for (const jobId of unfinished) client.join(jobId);
client.connect();

async function startJob() {
  const response = await fetch(new URL("/jobs", values.url), {
    method: "POST",
    headers: { "content-type": "application/json", authorization: `Bearer ${values.token}` },
    body: JSON.stringify({ stageSeconds: Number(values.seconds), failAt: values["fail-at"] }),
    signal: AbortSignal.timeout(10_000),
  });
  const answer = await response.json();
  if (!response.ok) throw new Error(answer.message);
  print("+", "job", answer);
  return answer.jobId;
}

function print(mark, title, detail) {
  const text = Object.keys(detail).length === 0 ? "" : ` ${JSON.stringify(detail)}`;
  console.log(`${new Date().toISOString().slice(11, 23)} ${mark} ${title}${text}`);
}

function end(code) {
  client.disconnect();
  process.exit(code);
}
