// The page of examples/django_app in Chromium: two users, the admin, a kick, and a logout.
//
//   node django_example_page.mjs <address> <folder for screenshots>
import { join } from "node:path";
import { launchChromium } from "./chromium.mjs";

const [address, folder] = process.argv.slice(2);
const browser = await launchChromium();
const errors = [];
let step = "start";

async function logIn(name) {
  const context = await browser.newContext();
  const page = await context.newPage();
  page.on("pageerror", (error) => errors.push(`${name}: ${error}`));
  await page.goto(address);
  await page.fill("[name=username]", name);
  await page.fill("[name=password]", "mew");
  await page.click("button");
  await page.locator("#messages").waitFor();
  return page;
}

const message = (page, text) => page.locator("#messages li", { hasText: text });

async function send(page, text) {
  await page.fill("[name=content]", text);
  await page.press("[name=content]", "Enter");
}

async function run() {
  step = "log in, and see who is online";
  const alice = await logIn("alice");
  const bob = await logIn("bob");
  await alice.locator("#members .online", { hasText: "bob" }).waitFor();
  step = "a message arrives";
  await message(bob, "Welcome to Mew HQ").waitFor();
  await send(alice, "Hello from Django");
  await message(bob, "alice: Hello from Django").waitFor();
  await bob.screenshot({ path: join(folder, "django-example.png") });
  step = "retract it";
  await message(alice, "Hello from Django").getByRole("button").click();
  await message(bob, "alice: retracted").waitFor();
  step = "what the admin changes arrives";
  const admin = await alice.context().newPage();
  const styles = admin.waitForResponse((response) => response.url().endsWith("/admin/css/base.css"));
  await admin.goto(`${address}admin/chat/message/`);
  if ((await styles).status() !== 200) throw new Error("the admin has no static files");
  await admin.getByRole("link", { name: "Welcome to Mew HQ" }).click();
  await admin.fill("[name=content]", "Welcome, from the admin");
  await admin.click("[name=_save]");
  await message(bob, "Welcome, from the admin").waitFor();
  step = "kick, and join again";
  await alice.locator("#members li", { hasText: "bob" }).getByRole("button", { name: "Kick" }).click();
  await bob.getByRole("button", { name: "Join Mew HQ" }).click();
  await message(bob, "Welcome, from the admin").waitFor();
  await send(bob, "I am back");
  await message(alice, "bob: I am back").waitFor();
  step = "a logout in another window ends this one";
  const second = await bob.context().newPage();
  await second.goto(address);
  await second.getByRole("button", { name: "Log out" }).click();
  await bob.locator("[name=password]").waitFor();
  if (errors.length) throw new Error(errors.join("\n"));
}

try {
  await run();
} catch (error) {
  console.error(`failed at "${step}"\n${error.stack}\n${errors.join("\n")}`);
  process.exitCode = 1;
} finally {
  await browser.close();
}
