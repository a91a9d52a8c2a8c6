// Take the pictures of the documentation from the pages of the running Mew example: the chat, the console, the events.
//
//   node scripts/screenshots.mjs <address of the example> <the console's secret> <folder>
import { join } from "node:path";
import { launchChromium } from "../tests/wire/chromium.mjs";

const [address, secret, folder] = process.argv.slice(2);
if (!folder) throw new Error("usage: node screenshots.mjs <address> <the console's secret> <folder>");

const browser = await launchChromium();
try {
  const alice = await logIn("alice", "light");
  const bob = await logIn("bob", "dark");
  await say(alice, "The deploy is done. Did you notice it?");
  await say(bob, "My phone changed from Wi-Fi to the mobile network in between.");
  await say(bob, "It came back with everything that I had missed.");
  await alice.getByText("everything that I had missed").waitFor();
  await shot(alice, "chat");

  const operator = await open("/realtime-console", { width: 1280, height: 320 }, "light");
  await operator.getByLabel("Secret").fill(secret);
  await operator.getByRole("button", { name: "Log in" }).click();
  await operator.locator("td", { hasText: / ms$/ }).first().waitFor(); // the second answer has the lag
  await shot(operator, "console");

  const phone = await operator.context().newPage();
  await phone.setViewportSize({ width: 390, height: 780 });
  await phone.emulateMedia({ colorScheme: "dark" });
  await phone.goto(`${address}/realtime-console#/connections`);
  await phone.locator("tbody tr").first().waitFor();
  await shot(phone, "console-phone");

  const events = await open("/asyncapi", { width: 1280, height: 800 }, "light");
  await events.getByRole("button", { name: "Open all" }).waitFor();
  await events.locator("details.event summary").first().click();
  await shot(events, "asyncapi");
} finally {
  await browser.close();
}

async function open(path, viewport, colorScheme) {
  const context = await browser.newContext({ viewport, colorScheme });
  const page = await context.newPage();
  await page.goto(address + path);
  return page;
}

async function logIn(user, colorScheme) {
  const page = await open("/", { width: 1280, height: 720 }, colorScheme);
  await page.locator(`.account[data-user=${user}]`).click();
  await page.locator(".live:not(.off)", { hasText: "Live" }).waitFor({ state: "attached" });
  await page.locator(".channel button.name", { hasText: "general" }).click();
  await page.locator("#head h2", { hasText: "general" }).waitFor();
  return page;
}

async function say(page, text) {
  const box = page.locator("#composer textarea");
  await box.fill(text);
  await box.press("Enter");
  await page.getByText(text).waitFor();
}

function shot(page, name) {
  return page.screenshot({ path: join(folder, `${name}.png`) });
}
