// The console in Chromium: log in, look at each view, send, disconnect, revoke; names with markup, long names; a phone.
//
//   node console_page.mjs <address of the server> <folder for screenshots> <JSON: secret, id, markup, long, crowd>
//
// The clients: `ann` (her connection is `id`) and `bob` in the room `tea`, one with markup as its user id and in rooms with
// that name and a long one, one with a long user id, and a crowd. Exits with 1 at the first failure.
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { launchChromium } from "./chromium.mjs";

const [address, folder, about] = process.argv.slice(2);
if (!about) throw new Error("usage: node console_page.mjs <address> <folder> <JSON>");
const { secret, id, markup, long, crowd } = JSON.parse(about);
mkdirSync(folder, { recursive: true });

const browser = await launchChromium();
const errors = [];
const outside = [];
let step = "start";

try {
  await runSteps();
  if (errors.length) throw new Error(`the browser reported errors:\n  ${errors.join("\n  ")}`);
  if (outside.length) throw new Error(`the page asked other hosts: ${outside}`);
  console.log("console page: ok");
} catch (error) {
  console.error(`console page: failed at "${step}"\n${error.stack}`);
  for (const page of browser.contexts().flatMap((context) => context.pages())) await shot(page, "failed");
  process.exitCode = 1;
} finally {
  await browser.close();
}

async function runSteps() {
  const page = await open(await browser.newContext({ viewport: { width: 1280, height: 800 }, colorScheme: "light" }));

  begin("a wrong secret is refused, the right one opens the page");
  await shot(page, "log-in");
  const refusals = errors.length;
  await logIn(page, "a wrong secret");
  await page.getByText("This is not the secret.").waitFor();
  errors.length = refusals; // the browser reports the status 401
  await logIn(page, secret);
  await page.getByText("Connected", { exact: true }).waitFor();

  begin("the processes and their load");
  await page.getByRole("heading", { name: "Nodes" }).waitFor();
  await page.locator("tbody tr").first().waitFor();
  await page.getByText(String(crowd + 4 + 1), { exact: true }).first().waitFor(); // with the page itself
  await page.locator("td", { hasText: / ms$/ }).first().waitFor(); // the second answer has the lag
  await shot(page, "nodes");

  begin("connections come in pages, and are searched");
  await visit(page, "Connections");
  await page.getByText("page 1, 100 rows").waitFor();
  await row(page, "ann").waitFor();
  await page.getByRole("button", { name: "Next" }).click();
  await page.getByText("page 2, 100 rows").waitFor();
  await page.getByRole("button", { name: "Next" }).click();
  await page.getByText(`page 3, ${crowd + 4 - 200} rows`).waitFor();
  await equal(() => page.getByRole("button", { name: "Next" }).isDisabled(), true);
  await page.getByRole("button", { name: "Previous" }).click();
  await page.getByText("page 2, 100 rows").waitFor();
  await search(page, "crowd 20");
  await page.getByText("page 1, 10 rows").waitFor();
  await search(page, id.slice(0, 8));
  await page.getByText("page 1, 1 row").waitFor();
  await shot(page, "connections");

  begin("one connection");
  await page.getByRole("link", { name: id }).click();
  await page.getByRole("heading", { name: `Connection ${id}` }).waitFor();
  await page.getByText(/\bsub\b/).waitFor();
  await page.getByRole("link", { name: "tea", exact: true }).click();

  begin("a room: members, sending, events");
  await page.getByRole("heading", { name: "Room tea" }).waitFor();
  await page.getByText("page 1, 2 rows").waitFor();
  await page.getByLabel("Follow").check();
  await send(page, "said", '{"text": "hello from the console"}');
  await page.locator(".events li", { hasText: "hello from the console" }).waitFor();
  await send(page, markup, JSON.stringify(markup));
  await page.locator(".events li", { hasText: markup }).first().waitFor();
  await send(page, "said", "{not JSON");
  await page.getByRole("alert").filter({ hasText: "The payload is not JSON" }).waitFor();
  await send(page, "disconnect", "");
  await page.getByRole("alert").filter({ hasText: /disconnect/ }).waitFor();
  await shot(page, "room");

  begin("markup in names is text, and long names do not widen the page");
  await visit(page, "Rooms");
  await row(page, markup).waitFor();
  await row(page, long).waitFor();
  await fits(page);
  await shot(page, "rooms");

  begin("sorted by a column, by keyboard");
  const names = () => page.locator("tbody th").allTextContents().then((texts) => texts.join());
  const asListed = [markup, long, "tea"].join();
  await equal(names, asListed);
  const members = page.getByRole("columnheader", { name: "Members" });
  await equal(() => members.getAttribute("aria-sort"), "none");
  await members.getByRole("button").focus();
  await page.keyboard.press("Enter");
  await equal(() => members.getAttribute("aria-sort"), "descending");
  await equal(names, ["tea", markup, long].join());
  await shot(page, "rooms-sorted");
  await page.keyboard.press("Space");
  await equal(() => members.getAttribute("aria-sort"), "ascending");
  await equal(names, asListed);
  await equal(() => page.evaluate(() => document.activeElement.textContent), "Members");
  await page.getByRole("columnheader", { name: "Room" }).getByRole("button").click();
  await equal(() => members.getAttribute("aria-sort"), "none");
  await page.getByRole("button", { name: "Refresh" }).click();
  await equal(() => page.getByRole("columnheader", { name: "Room" }).getAttribute("aria-sort"), "ascending");
  await page.getByRole("columnheader", { name: "Room" }).getByRole("button").click();
  await equal(names, ["tea", long, markup].join());
  await page.getByRole("columnheader", { name: "Room" }).getByRole("button").click();
  await equal(names, asListed);
  await visit(page, "Connections");
  await page.getByRole("columnheader", { name: "User" }).getByRole("button").click();
  await page.getByText("page 1, 100 rows; only this page is sorted").waitFor();
  await shot(page, "connections-sorted", false);
  await visit(page, "Rooms");

  begin("a room with markup as its name");
  await page.getByRole("link", { name: markup }).click();
  await page.getByRole("heading", { name: `Room ${markup}` }).waitFor();
  await row(page, markup).waitFor();
  await page.getByRole("link", { name: markup }).first().click();
  await page.getByRole("heading", { name: `User ${markup}` }).waitFor();
  await equal(() => page.locator("main img").count(), 0);
  await equal(async () => (await page.title()).startsWith(markup), true);

  begin("users: who is online; send, disconnect, revoke");
  await visit(page, "Users");
  await page.getByText(`${crowd + 4} online; page 1, 100 rows`).waitFor();
  await search(page, "bo");
  await page.getByText("1 online; page 1, 1 row").waitFor();
  await page.getByLabel("Token id (jti)").fill("a token");
  await page.getByRole("button", { name: "Revoke" }).click();
  await page.getByRole("dialog").getByRole("button", { name: "Revoke" }).click();
  await page.getByText("The token is revoked.").waitFor();
  await page.getByRole("link", { name: "bob" }).click();
  await page.getByText("Online", { exact: true }).waitFor();
  await send(page, "to you", "");
  await page.getByText(/^Sent at position/).waitFor();
  await shot(page, "user");
  await page.getByRole("button", { name: "Revoke tokens" }).click();
  await shot(page, "question");
  await page.getByRole("dialog").getByRole("button", { name: "Cancel" }).click();
  await page.getByRole("button", { name: "Revoke tokens" }).click();
  await page.getByRole("dialog").getByRole("button", { name: "Revoke" }).click();
  await page.getByText("The tokens are revoked.").waitFor();
  await page.getByText("No connection.").waitFor();

  begin("disconnect one client");
  await page.goto(`${address}/realtime-console#/connection/${encodeURIComponent(id)}?gateway=%2F`);
  await page.getByRole("button", { name: "Disconnect" }).click();
  await page.getByRole("dialog").getByRole("button", { name: "Disconnect" }).click();
  await page.getByText("It is not connected.").waitFor();

  begin("settings");
  await visit(page, "Settings");
  await row(page, "MEW_CONSOLE_SECRET").getByText("set", { exact: true }).waitFor();
  await equal(() => page.getByText(secret).count(), 0);
  await shot(page, "settings");

  begin("by keyboard: skip link, focus in view");
  await page.keyboard.press("Tab");
  await page.goto(`${address}/realtime-console#/rooms?gateway=%2F`);
  await page.reload();
  await row(page, "tea").or(row(page, long)).first().waitFor();
  await page.keyboard.press("Tab");
  await equal(() => page.evaluate(() => document.activeElement.textContent), "Skip to content");
  await page.keyboard.press("Enter");
  await equal(() => page.evaluate(() => document.activeElement.id), "view");

  begin("dark, and on a phone");
  const state = await page.context().storageState();
  const phone = { width: 390, height: 844 };
  const dark = await open(
    await browser.newContext({ viewport: phone, isMobile: true, hasTouch: true, deviceScaleFactor: 2, colorScheme: "dark", storageState: state }),
  );
  for (const name of ["Nodes", "Connections", "Rooms", "Users", "Send", "Settings"]) {
    await visit(dark, name);
    await dark.getByRole("heading", { level: 1 }).waitFor();
    if (name !== "Send") await dark.locator("tbody tr").first().waitFor();
    await fits(dark);
    await shot(dark, `phone-dark-${name.toLowerCase()}`);
  }
  await visit(dark, "Connections");
  await dark.getByLabel("Order").selectOption("User, descending");
  await dark.getByText("only this page is sorted").waitFor();
  await equal(async () => (await dark.locator("tbody th").allTextContents())[0].startsWith("crowd"), true);
  await shot(dark, "phone-dark-connections-sorted", false);
  await dark.goto(`${address}/realtime-console#/room/${encodeURIComponent(markup)}?gateway=%2F`);
  await dark.getByRole("button", { name: "Close room" }).waitFor();
  await fits(dark);
  await shot(dark, "phone-dark-room");
  await dark.setViewportSize({ width: 1280, height: 800 });
  await visit(dark, "Nodes");
  await dark.locator("tbody tr").first().waitFor();
  await shot(dark, "nodes-dark");

  begin("a lost connection is shown, and comes back");
  const cut = await interceptWebSocket(dark);
  cut.refuse = true;
  await cut.now();
  await dark.getByText("Connection lost. Connecting again…").waitFor();
  cut.refuse = false;
  await dark.getByText("Connected", { exact: true }).waitFor();

  begin("a room is closed, and the members of another one are disconnected");
  await page.goto(`${address}/realtime-console#/room/${encodeURIComponent(long)}?gateway=%2F`);
  await page.getByText("page 1, 1 row").waitFor();
  await page.getByRole("button", { name: "Close room" }).click();
  await page.getByRole("dialog").getByText(/^Close n+…\? This takes 1 member out/).waitFor();
  await shot(page, "close-room", false);
  await page.getByRole("dialog").getByRole("button", { name: "Cancel" }).click();
  await page.getByRole("button", { name: "Close room" }).click();
  await page.getByRole("dialog").getByRole("button", { name: "Close room" }).click();
  await page.getByText("The room is closed.").waitFor();
  await page.getByText("No connection is found.").waitFor();
  await page.goto(`${address}/realtime-console#/room/${encodeURIComponent(markup)}?gateway=%2F`);
  await page.getByText("page 1, 1 row").waitFor();
  await page.getByRole("button", { name: "Disconnect members" }).click();
  await page.getByRole("dialog").getByRole("button", { name: "Disconnect" }).click();
  await page.getByText("The members are disconnected.").waitFor();
  await page.getByText("No connection is found.").waitFor();

  begin("log out");
  await page.getByRole("button", { name: "Log out" }).click();
  await page.getByLabel("Secret").waitFor();
  await page.reload();
  await page.getByLabel("Secret").waitFor();
}

function begin(name) {
  step = name;
  console.log(`${(performance.now() / 1000).toFixed(1).padStart(6)} s  ${name}`);
}

async function open(context) {
  const page = await context.newPage();
  page.setDefaultTimeout(10_000);
  page.on("pageerror", (error) => errors.push(error.stack));
  page.on("console", (line) => line.type() === "error" && errors.push(`${step}: ${line.text()}`));
  page.on("request", (request) => request.url().startsWith(address) || outside.push(request.url()));
  await page.goto(`${address}/realtime-console`);
  return page;
}

async function logIn(page, text) {
  await page.getByLabel("Secret").fill(text);
  await page.getByRole("button", { name: "Log in" }).click();
}

async function visit(page, name) {
  await page.getByRole("navigation").getByRole("link", { name, exact: true }).click();
  await page.getByRole("navigation").locator("[aria-current=page]", { hasText: name }).waitFor();
}

function row(page, name) {
  return page.locator("tbody tr", { has: page.getByRole("rowheader", { name, exact: true }) }).first();
}

async function search(page, text) {
  await page.getByRole("searchbox").fill(text);
  await page.getByRole("searchbox").press("Enter");
}

async function send(page, event, payload) {
  await page.getByLabel("Event", { exact: true }).fill(event);
  await page.getByLabel("Payload (JSON, or empty)").fill(payload);
  await page.getByRole("button", { name: "Send", exact: true }).click();
}

async function fits(page) {
  await equal(() => page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth), 0);
}

async function interceptWebSocket(page) {
  const wires = new Set();
  const cut = { refuse: false, now: () => Promise.all([...wires].map((wire) => wire.close({ code: 1012 }))) };
  await page.routeWebSocket(/realtime-console/, (wire) => {
    if (cut.refuse) return wire.close({ code: 1012 });
    wires.add(wire);
    wire.connectToServer();
  });
  await page.reload();
  await page.getByText("Connected", { exact: true }).waitFor();
  return cut;
}

function shot(page, name, fullPage = true) {
  return page.screenshot({ path: join(folder, `console-${name}.png`), fullPage }).catch(() => {});
}

/** Poll until a value is the expected one, for at most 10 s. */
async function equal(read, expected, deadline = Date.now() + 10_000) {
  for (;;) {
    const value = await read();
    if (value === expected) return;
    if (Date.now() > deadline) throw new Error(`expected ${JSON.stringify(expected)}, got ${JSON.stringify(value)}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}
