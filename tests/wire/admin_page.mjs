// npm's @socket.io/admin-ui on a SocketIOServer: log in, open each page, add a client to a room, remove it.
//
//   node admin_page.mjs <address of the server> <folder for screenshots> <width>x<height> <sid of a client>
//
// The server has the page at /admin/. Exits with 1 at the first failure.
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { launchChromium } from "./chromium.mjs";

const [address, folder, viewport, sid] = process.argv.slice(2);
if (!sid) throw new Error("usage: node admin_page.mjs <address> <folder> <width>x<height> <sid>");
mkdirSync(folder, { recursive: true });
const [width, height] = viewport.split("x").map(Number);

const browser = await launchChromium();
const page = await browser.newPage({ viewport: { width, height } });
page.setDefaultTimeout(15_000);
const errors = [];
page.on("pageerror", (error) => errors.push(error.message));
// Its icon font is on another host, which tests do not load.
await page.route((url) => !url.href.startsWith(address), (route) => route.abort());

try {
  await page.goto(`${address}/admin/`);
  await page.getByLabel("Server URL", { exact: true }).fill(address);
  await page.getByLabel("Username", { exact: true }).fill("admin");
  await logIn("wrong");
  await page.getByText("Invalid credentials").waitFor();
  await logIn("correct horse");
  await page.getByText("connected", { exact: true }).locator("visible=true").first().waitFor();
  await page.getByText("/admin", { exact: true }).waitFor();
  await shot("dashboard");

  await visit("sockets");
  await page.getByText(sid).waitFor();
  await shot("sockets");
  await page.getByText(sid).click();
  await page.getByText("the-room").waitFor();
  await page.getByLabel("Join a room").fill("another-room");
  await page.locator(".v-card button:visible").last().click();
  await page.getByRole("cell", { name: "another-room" }).waitFor();
  await shot("socket");

  await visit("rooms");
  await page.getByText("another-room").locator("visible=true").first().waitFor();
  await shot("rooms");

  await page.reload(); // the session logs in again
  await visit("sockets");
  await page.getByText(sid).waitFor();
  await page.locator("tbody tr", { hasText: sid }).locator("button").first().click();
  await visit("events");
  await page.getByText("server disconnect").waitFor();
  await shot("events");
  if (errors.length) throw new Error(`the page reported errors:\n  ${errors.join("\n  ")}`);
} catch (error) {
  console.error(error.stack);
  await shot("failed");
  process.exitCode = 1;
} finally {
  await browser.close();
}

async function logIn(password) {
  await page.getByLabel("Password", { exact: true }).fill(password);
  await page.locator("button[type=submit]").click();
}

async function visit(name) {
  await page.evaluate((place) => (location.hash = place), `#/${name}/`);
}

async function shot(name) {
  await page.screenshot({ path: join(folder, `admin-${viewport}-${name}.png`) });
}
