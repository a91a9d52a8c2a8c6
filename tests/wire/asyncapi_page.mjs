// The page of an AsyncAPI document, as people use it: with a mouse, by keyboard, on a phone, and without scripts.
//
//   node asyncapi_page.mjs <address of the page> <folder for screenshots>
//
// Exits with 1 at the first failure, and prints the step.
import assert from "node:assert/strict";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { launchChromium } from "./chromium.mjs";

const [address, folder] = process.argv.slice(2);
if (!address || !folder) throw new Error("usage: node asyncapi_page.mjs <address> <folder for screenshots>");
mkdirSync(folder, { recursive: true });

const browser = await launchChromium();
let step = "start";
try {
  await runSteps();
  console.log("asyncapi page: ok");
} catch (error) {
  console.error(`asyncapi page: failed at "${step}"\n${error.stack}`);
  process.exitCode = 1;
} finally {
  await browser.close();
}

async function runSteps() {
  const problems = [];
  const requested = [];
  const desktop = await browser.newContext({ viewport: { width: 1280, height: 900 }, colorScheme: "light" });
  const page = await desktop.newPage();
  page.on("console", (message) => problems.push(message.text()));
  page.on("pageerror", (error) => problems.push(error.message));
  page.on("request", (request) => requested.push(request.url()));
  const event = (name) => page.locator("details.event", { has: page.getByText(name, { exact: true }) }).first();

  begin("the page loads nothing else, and its policy permits its own style and script");
  await page.goto(address);
  assert.deepEqual(requested, [address]);
  assert.equal(await page.evaluate(() => getComputedStyle(document.querySelector("nav")).position), "sticky");
  await page.locator("#tools").waitFor();
  await page.screenshot({ path: join(folder, "desktop-light.png") });

  begin("an event is opened by its link, and shows fields, limits and answers");
  await page.locator("nav").getByRole("link", { name: "draw", exact: true }).click();
  await event("draw").locator(".fields .name", { hasText: "boardId" }).first().waitFor();
  assert.match(await event("draw").innerText(), /at most 10 characters/);
  assert.match(await event("draw").innerText(), /Answered with one of/);
  assert.match(page.url(), /#event:board\.receive\.draw$/);
  await page.screenshot({ path: join(folder, "desktop-event.png") });

  begin("a link to an event opens it");
  const linked = await desktop.newPage();
  await linked.goto(page.url());
  assert.equal(await linked.locator("details.event:target").getAttribute("open"), "");
  await linked.close();

  begin("a class is a link to its schema");
  await event("draw").getByRole("link", { name: "Stroke-Input" }).first().click();
  assert.equal(await page.locator("details.schema:target").getAttribute("open"), "");

  begin("the keyboard finds an event, opens it, and leaves the search");
  await page.keyboard.press("/");
  await page.keyboard.type("DRAW line");
  assert.equal(await page.locator("#found").textContent(), "1 event");
  assert.equal(await page.locator("details.event:visible").count(), 1);
  assert.equal(await page.locator("nav li[data-name]:visible").count(), 1);
  await page.keyboard.press("Control+a");
  await page.keyboard.type("nothing is called so");
  assert.equal(await page.locator("#found").textContent(), "0 events");
  await page.keyboard.press("Escape");
  assert.equal(await page.locator("#found").textContent(), "");
  assert.ok((await page.locator("details.event:visible").count()) > 10);
  await page.getByRole("button", { name: "Close all" }).click();
  assert.equal(await page.locator("details.event[open]").count(), 0);
  await page.getByRole("button", { name: "Open all" }).click();
  assert.equal(await page.locator("details.event:not([open])").count(), 0);
  await page.getByRole("button", { name: "Close all" }).click();
  await event("draw").locator("> summary").focus();
  await page.keyboard.press("Enter");
  assert.equal(await event("draw").getAttribute("open"), "");

  begin("a link to an event that the search hides shows it");
  await page.locator("#search").fill("erase");
  await page.evaluate(() => (location.hash = "#event:board.receive.draw"));
  await page.locator("details.event:target:visible").waitFor();

  begin("the first Tab reaches the link that skips the contents");
  const fresh = await desktop.newPage();
  await fresh.goto(address);
  await fresh.keyboard.press("Tab");
  assert.equal(await fresh.evaluate(() => document.activeElement.textContent), "Skip to the events");
  await fresh.keyboard.press("Enter");
  assert.equal(await fresh.evaluate(() => document.activeElement.id), "main");
  await fresh.close();

  begin("nothing in names and descriptions became a part of the page");
  assert.equal(await page.evaluate(() => window.hacked), undefined);
  assert.equal(await page.locator("img, iframe, svg, form").count(), 0);
  assert.deepEqual(problems, []);

  begin("a phone shows everything without scrolling sideways, in the dark too");
  for (const colorScheme of ["light", "dark"]) {
    const phone = await browser.newContext({ viewport: { width: 360, height: 740 }, colorScheme, hasTouch: true });
    const small = await phone.newPage();
    await small.goto(`${address}#event:board.receive.draw`);
    await small.getByRole("button", { name: "Open all" }).click();
    const wide = await small.evaluate(() => document.documentElement.scrollWidth);
    assert.ok(wide <= 360, `${wide} pixels wide`);
    await small.evaluate(() => document.getElementById("event:board.receive.draw").scrollIntoView());
    await small.screenshot({ path: join(folder, `phone-${colorScheme}.png`) });
    await small.evaluate(() => scrollTo(0, 0));
    await small.screenshot({ path: join(folder, `phone-top-${colorScheme}.png`) });
    const [text, paper] = await small.evaluate(() => {
      const style = getComputedStyle(document.body);
      return [style.color, style.backgroundColor].map((value) => value.match(/\d+/g).map(Number)[0]);
    });
    assert.equal(text > paper, colorScheme === "dark");
    await phone.close();
  }

  begin("without scripts every event is there, and opens");
  const plain = await browser.newContext({ viewport: { width: 1280, height: 900 }, javaScriptEnabled: false, colorScheme: "dark" });
  const still = await plain.newPage();
  await still.goto(address);
  assert.equal(await still.locator("#tools").isVisible(), false);
  const draw = still.locator("details.event", { has: still.getByText("draw", { exact: true }) }).first();
  await draw.locator("> summary").click();
  await draw.locator(".fields .name", { hasText: "boardId" }).first().waitFor();
  await still.screenshot({ path: join(folder, "desktop-dark.png") });
}

function begin(name) {
  step = name;
}
