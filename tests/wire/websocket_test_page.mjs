// The page /websocket-test of the Flask example, on desktop and phone, while its server runs, restarts and refuses.
//
//   node websocket_test_page.mjs <python> <folder for its database and screenshots>
//
// Starts and stops the server itself. Exits with 1 at the first failure, and prints the step.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync } from "node:fs";
import { createServer } from "node:net";
import { join, resolve } from "node:path";
import { launchChromium } from "./chromium.mjs";

const [python, folder] = process.argv.slice(2);
if (!python || !folder) throw new Error("usage: node websocket_test_page.mjs <python> <folder>");
mkdirSync(folder, { recursive: true });

const port = await freePort();
const address = `http://127.0.0.1:${port}`;
let server = await serve();
const browser = await launchChromium();
const errors = [];
let step = "start";

try {
  await runSteps();
  if (errors.length) throw new Error(`the browser reported errors:\n  ${errors.join("\n  ")}`);
  console.log("websocket-test page: ok");
} catch (error) {
  console.error(`websocket-test page: failed at "${step}"\n${error.stack}`);
  for (const [number, page] of browser.contexts().flatMap((context) => context.pages()).entries()) {
    await page.screenshot({ path: join(folder, `failed-${number}.png`) }).catch(() => {});
  }
  process.exitCode = 1;
} finally {
  await browser.close();
  await stop();
}

async function runSteps() {
  const desk = await open({ viewport: { width: 1280, height: 860 }, colorScheme: "light" });
  await state(desk, "Connected");
  await shot(desk, "desk-empty");

  begin("a job runs through its stages");
  const done = await start(desk, { seconds: "0.2" });
  await done.getByText("COMPLETED", { exact: true }).waitFor();
  if ((await done.locator(".stages li[data-state=done]").count()) !== 4) throw new Error("four stages should be done");
  for (const title of ["connected", "connection_established", "join_job", "job_status", "stage_completed"]) {
    await frame(desk, title).waitFor();
  }
  await frame(desk, "job_status").getByText('"COMPLETED"').first().waitFor();

  begin("a job fails");
  const failed = await start(desk, { seconds: "0.2", failAt: "STORYBOARD" });
  await failed.getByText("FAILED", { exact: true }).waitFor();
  await failed.getByRole("alert").getByText("STORYBOARD: Stage execution failed").waitFor();
  await frame(desk, "job_error").waitFor();

  begin("a phone that joins late receives the last status at once");
  const phone = await open({ viewport: { width: 390, height: 844 }, colorScheme: "dark", isMobile: true, hasTouch: true });
  const id = await done.getAttribute("data-job");
  await follow(phone, id);
  await job(phone, id).getByText("COMPLETED", { exact: true }).waitFor();
  await follow(phone, "no-such-job");
  await frame(phone, "error").getByText("FORBIDDEN").first().waitFor();
  await job(phone, "no-such-job").getByRole("button", { name: "Leave" }).click();
  await job(phone, "no-such-job").waitFor({ state: "detached" });

  begin("the server restarts in the middle of a job");
  const running = await start(desk, { seconds: "60" });
  const runningId = await running.getAttribute("data-job");
  await running.getByText("RUNNING", { exact: true }).waitFor();
  await follow(phone, runningId);
  await job(phone, runningId).getByText("RUNNING", { exact: true }).waitFor();
  await shot(desk, "desk-running");
  await shot(phone, "phone-running");
  await stop();
  await state(desk, "Disconnected");
  await desk.getByRole("img", { name: /Reconnection attempts: [1-5] of 5/ }).waitFor();
  await shot(desk, "desk-waiting");
  await shot(phone, "phone-waiting");
  server = await serve();
  for (const page of [desk, phone]) {
    await state(page, "Connected");
    await job(page, runningId).getByText("FAILED", { exact: true }).waitFor(); // set by the new process
  }

  begin("disconnect, and connect with a wrong token and with a right one");
  await desk.getByRole("button", { name: "Disconnect" }).click();
  await state(desk, "Disconnected");
  await desk.getByLabel("Token").fill("wrong");
  await desk.getByRole("button", { name: "Connect" }).click();
  await state(desk, "Error");
  await desk.getByRole("alert").getByText("Authentication failed").waitFor();
  await desk.getByRole("button", { name: "Start", exact: true }).click();
  await desk.getByText("no valid token").waitFor();
  await shot(desk, "desk-refused");
  await desk.getByLabel("Token").fill("demo-token");
  await desk.getByRole("button", { name: "Connect" }).click();
  await state(desk, "Connected");

  begin("after a reload the page follows the same jobs, without those that were left");
  await desk.locator(`[data-job="${runningId}"]`).getByRole("button", { name: "Leave" }).click();
  await frame(desk, "leave_job").waitFor();
  await desk.reload();
  await job(desk, id).getByText("COMPLETED", { exact: true }).waitFor();
  if (await job(desk, runningId).count()) throw new Error("a job that was left is followed again");

  begin("a frame can be opened, and no element is wider than the phone");
  await desk.locator(".frames summary").first().click();
  await desk.locator(".frames pre").first().waitFor();
  await shot(desk, "desk-end");
  await desk.emulateMedia({ colorScheme: "dark" });
  await shot(desk, "desk-end-dark");
  await phone.emulateMedia({ colorScheme: "light" });
  await shot(phone, "phone-end", { fullPage: true });
  for (const page of [desk, phone]) {
    const wide = await page.evaluate(() => document.scrollingElement.scrollWidth);
    if (wide > page.viewportSize().width) throw new Error(`the page is ${wide} pixels wide`);
  }
}

function begin(name) {
  step = name;
}

async function open(options) {
  const context = await browser.newContext(options);
  context.setDefaultTimeout(20_000);
  const page = await context.newPage();
  page.on("pageerror", (error) => errors.push(error.message));
  page.on("console", (message) => {
    // In these steps the server is stopped or refuses the client on purpose.
    if (message.type() === "error" && !/WebSocket|Failed to load resource/.test(message.text())) {
      errors.push(message.text());
    }
  });
  await page.goto(`${address}/websocket-test`);
  return page;
}

async function state(page, word) {
  await page.getByRole("status").getByText(word, { exact: true }).waitFor();
}

function job(page, id) {
  return page.locator(`[data-job="${id}"]`);
}

function frame(page, title) {
  return page.locator(`.frames li[data-title="${title}"]`).first();
}

async function follow(page, id) {
  await page.getByLabel("Job id").fill(id);
  await page.getByRole("button", { name: "Join" }).click();
}

/** Start a job, and find it on the page. */
async function start(page, { seconds, failAt = "no stage" }) {
  const before = await page.locator(".job").count();
  await page.getByLabel("Fails at").selectOption({ label: failAt });
  await page.getByLabel("Seconds a stage").fill(seconds);
  await page.getByRole("button", { name: "Start", exact: true }).click();
  await page.locator(".job").nth(before).waitFor();
  return job(page, await page.locator(".job").first().getAttribute("data-job"));
}

async function shot(page, name, options = {}) {
  await page.screenshot({ path: join(folder, `${name}.png`), ...options });
}

async function freePort() {
  const listener = createServer().listen(0, "127.0.0.1");
  await once(listener, "listening");
  const { port } = listener.address();
  listener.close();
  await once(listener, "close");
  return port;
}

async function serve() {
  const program = spawn(resolve(python), ["-m", "examples.flask_adapter"], {
    cwd: folder, // where its database will be
    env: { ...process.env, PYTHONPATH: resolve("."), PORT: String(port), MEW_DEV: "true", WS_ALLOW_DEMO_TOKEN: "true" },
    stdio: ["ignore", "ignore", "inherit"],
  });
  while (program.exitCode === null) {
    const answer = await fetch(`${address}/healthz`).catch(() => undefined);
    if (answer?.ok) return program;
    await new Promise((later) => setTimeout(later, 50)); // the server gives no signal that it listens
  }
  throw new Error(`the server ended with ${program.exitCode}`);
}

async function stop() {
  if (server.exitCode === null && server.signalCode === null) {
    server.kill("SIGTERM");
    await once(server, "exit");
  }
}
