// The chat page as users see it: two desktop windows and a phone.
//
//   node chat_page.mjs <address of the example> <folder for screenshots>
//
// Exits with 1 at the first failure, and prints the step.
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { chromium } from "playwright-core";

const [address, folder] = process.argv.slice(2);
if (!address || !folder) throw new Error("usage: node chat_page.mjs <address> <folder for screenshots>");
mkdirSync(folder, { recursive: true });

const executablePath = process.env.CHROMIUM ?? "/usr/bin/chromium";
const browser = await chromium.launch({
  executablePath,
  args: ["--no-sandbox", "--disable-gpu", "--disable-background-networking"],
});
const complaints = [];
const run = Date.now().toString(36); // names of this run, so that the script can run again on the same server
let step = "start";

try {
  await story();
  if (complaints.length) throw new Error(`the browser complained:\n  ${complaints.join("\n  ")}`);
  console.log("chat page: ok");
} catch (error) {
  console.error(`chat page: failed at "${step}"\n${error.stack}`);
  for (const page of browser.contexts().flatMap((context) => context.pages())) {
    await page
      .screenshot({
        path: join(folder, `failed-${await page.title().catch(() => "page")}.png`.replaceAll(/[^\w.-]+/g, "_")),
      })
      .catch(() => {});
  }
  process.exitCode = 1;
} finally {
  await browser.close();
}

async function story() {
  const viewport = { width: 1280, height: 800 };
  const alice = await open(await browser.newContext({ viewport, colorScheme: "light" }));
  const bob = await open(await browser.newContext({ viewport, colorScheme: "dark" }));
  const cut = await breakable(bob);

  begin("sign in; a second window of the same browser can be another user");
  await shot(alice, "log-in");
  await be(alice, "alice");
  const second = await open(alice.context());
  await second.locator(".account[data-user=bob]").waitFor();
  await second.close();
  await be(bob, "bob");
  await alice.locator(".person[data-user=bob] .dot.online").waitFor();
  await bob.locator(".person[data-user=alice] .dot.online").waitFor();

  begin("a message arrives, is counted while unread, and stands below a line");
  await channel(alice, "general");
  await channel(bob, "random");
  await say(alice, `Good morning ${run}`);
  await bob.locator(".channel.unread", { hasText: "general" }).waitFor();
  await equal(async () => (await bob.title()).startsWith("("), true);
  await channel(bob, "general");
  await message(bob, `Good morning ${run}`).waitFor();
  await bob.locator(".rule.new").waitFor();
  await gone(bob.locator(".channel.unread", { hasText: "general" }));

  begin("reply and react");
  await tool(bob, `Good morning ${run}`, "React");
  await bob.locator(".picker").getByLabel("Heart").click();
  await message(alice, `Good morning ${run}`).locator('.reaction[aria-pressed="false"]', { hasText: "1" }).click();
  await message(bob, `Good morning ${run}`).locator('.reaction[aria-pressed="true"]', { hasText: "2" }).waitFor();
  await tool(bob, `Good morning ${run}`, "Reply");
  await say(bob, `Hello back ${run}`);
  await message(alice, `Hello back ${run}`)
    .locator(".quote", { hasText: `Good morning ${run}` })
    .waitFor();

  begin("edit and delete");
  await tool(alice, `Good morning ${run}`, "Edit");
  await equal(() => alice.locator("textarea").inputValue(), `Good morning ${run}`);
  await say(alice, `Good evening ${run}`);
  await message(bob, `Good evening ${run}`).locator(".edited").waitFor();
  await say(alice, `Never mind ${run}`);
  await message(bob, `Never mind ${run}`).waitFor();
  await shot(bob, "conversation-dark");
  await tool(alice, `Never mind ${run}`, "Delete");
  await alice.locator("dialog button.danger").click();
  await gone(message(bob, `Never mind ${run}`));

  begin("what people type is text");
  const markup = `<img src=x onerror="document.title='owned'"> ${run}`;
  await say(alice, markup);
  await message(bob, markup).waitFor();
  await equal(() => bob.locator(".text img").count(), 0);

  begin("a sticker goes up the socket");
  const before = await bob.locator("img.sticker").count();
  await alice.locator("button[aria-label=Stickers]").click();
  await shot(alice, "stickers");
  await alice.locator(".strip button[title]").first().click();
  await equal(() => bob.locator("img.sticker").count(), before + 1);
  await equal(
    () =>
      bob
        .locator("img.sticker")
        .last()
        .evaluate((image) => image.complete && image.naturalWidth > 0),
    true,
  );

  begin("a channel comes, is renamed, closes, opens and goes");
  await alice.locator("button.place").click();
  await alice.getByRole("menuitem", { name: "New channel" }).click();
  await fill(alice, { name: `plans-${run}` });
  await row(bob, `plans-${run}`).waitFor();
  await channel(bob, `plans-${run}`);
  await channelMenu(alice, `plans-${run}`, "Edit channel");
  await fill(alice, { name: `schemes-${run}`, topic: "What we mean to do" });
  await bob.locator("#head h2", { hasText: `schemes-${run}` }).waitFor();
  await channelMenu(alice, `schemes-${run}`, "Who can see it");
  await alice.locator("dialog input[name=bob]").uncheck();
  await alice.locator("dialog button.primary").click();
  await gone(row(bob, `schemes-${run}`));
  await channelMenu(alice, `schemes-${run}`, "Who can see it");
  await alice.locator("dialog input[name=bob]").check();
  await alice.locator("dialog button.primary").click();
  await row(bob, `schemes-${run}`).waitFor();
  await channelMenu(alice, `schemes-${run}`, "Delete channel");
  await alice.locator("dialog button.danger").click();
  await gone(row(bob, `schemes-${run}`));

  begin("a direct message arrives once");
  await alice.locator(".person[data-user=bob] button.name").click();
  await alice.getByRole("menuitem", { name: "Message Bob" }).click();
  await alice.locator("#head h2", { hasText: "Bob" }).waitFor();
  await say(alice, `Psst ${run}`);
  await bob.locator(".tile[data-server=home] .badge").waitFor();
  await bob.locator(".tile[data-server=home]").click();
  await row(bob, "Alice").click();
  await message(bob, `Psst ${run}`).waitFor();
  await equal(() => message(bob, `Psst ${run}`).count(), 1);
  await equal(() => message(alice, `Psst ${run}`).count(), 1);

  begin("a reload finds the same person in the same place");
  await bob.reload();
  await message(bob, `Psst ${run}`).waitFor();
  await live(bob);

  begin("a lost connection is told, comes back, and nothing was missed");
  cut.refuse = true;
  await cut.now();
  await bob.locator("#banner[data-state=lost]").waitFor();
  await shot(bob, "reconnecting");
  await say(alice, `While you were out ${run}`);
  await alice.locator(".tile:not(.action)").nth(1).click();
  await channel(alice, "general");
  await say(alice, `And here too ${run}`);
  await message(alice, `And here too ${run}`).waitFor();
  cut.refuse = false;
  await message(bob, `While you were out ${run}`).waitFor();
  await live(bob);
  await equal(() => message(bob, `While you were out ${run}`).count(), 1);
  await bob.locator(".tile:not(.action)").nth(1).locator(".badge", { hasText: "1" }).waitFor();

  begin("a server of one's own; an invitation");
  await alice.locator(".tile[data-server=new]").click();
  await fill(alice, { name: `Tea room ${run}` });
  await alice.locator("#place", { hasText: `Tea room ${run}` }).waitFor();
  await alice.locator("button[aria-label='Invite a person']").click();
  await alice.locator("dialog select[name=userId]").selectOption("bob");
  await alice.locator("dialog button.primary").click();
  await bob.locator(`.tile[title="Tea room ${run}"]`).click();
  await bob.locator(".person[data-user=alice]").waitFor();
  await alice.locator("button.place").click();
  await alice.getByRole("menuitem", { name: "Rename server" }).click();
  await fill(alice, { name: `Tea house ${run}` });
  await bob.locator("#place", { hasText: `Tea house ${run}` }).waitFor();

  begin("to be kicked");
  await alice.locator(".person[data-user=bob]").hover();
  await shot(alice, "people");
  await alice.locator(".person[data-user=bob] .kick").click();
  await alice.locator("dialog button.danger").click();
  await bob
    .getByRole("alert")
    .filter({ hasText: `You were removed from Tea house ${run}` })
    .waitFor();
  await equal(() => bob.locator(`.tile[title="Tea house ${run}"]`).count(), 0);
  await gone(alice.locator(".person[data-user=bob]"));
  await shot(bob, "kicked");
  await bob.getByRole("button", { name: "All right" }).click();

  begin("a server is deleted");
  await alice.locator("button.place").click();
  await alice.getByRole("menuitem", { name: "Delete server" }).click();
  await alice.locator("dialog button.danger").click();
  await alice.getByRole("heading", { name: `Tea house ${run} is gone` }).waitFor();
  await alice.getByRole("button", { name: "All right" }).click();

  begin("on a phone");
  const pocket = await browser.newContext({
    viewport: { width: 390, height: 844 },
    isMobile: true,
    hasTouch: true,
    deviceScaleFactor: 2,
  });
  const carol = await open(pocket);
  await shot(carol, "phone-log-in");
  await be(carol, "carol");
  await carol.locator("#head button[aria-label^=Channels]").tap();
  await carol.locator("[data-drawer=sidebar]").waitFor();
  await settled(carol, "#sidebar");
  await shot(carol, "phone-channels");
  await row(carol, "general").tap();
  await message(carol, `Hello back ${run}`).waitFor();
  await settled(carol, "#sidebar");
  await carol.locator("textarea").fill(`From the bus ${run}`);
  await carol.locator("button[aria-label=Send]").tap();
  await message(carol, `From the bus ${run}`).waitFor();
  await message(carol, `Good evening ${run}`).locator(".text").tap();
  await message(carol, `Good evening ${run}`).getByLabel("React").waitFor();
  await shot(carol, "phone-conversation");
  await carol.locator("button[aria-label=People]").tap();
  await carol.locator(".person[data-user=alice] .dot.online").waitFor();
  await settled(carol, "#people");
  await shot(carol, "phone-people");
  await equal(() => carol.evaluate(() => document.documentElement.scrollWidth), 390);

  begin("who leaves goes offline");
  await alice.locator(".tile:not(.action)").nth(1).click();
  await channel(alice, "general");
  await alice.locator(".person[data-user=carol] .dot.online").waitFor();
  await pocket.close();
  await alice.locator(".person[data-user=carol] .dot:not(.online)").waitFor();
  await shot(alice, "conversation-light");
}

function begin(name) {
  step = name;
  console.log(`${(performance.now() / 1000).toFixed(1).padStart(6)} s  ${name}`);
}

async function open(context) {
  const page = await context.newPage();
  page.setDefaultTimeout(10_000);
  page.on("pageerror", (error) => complaints.push(error.stack));
  page.on("console", (line) => line.type() === "error" && complaints.push(`${step}: ${line.text()}`));
  await page.goto(address);
  return page;
}

/** From the next load on, the page's WebSocket can be cut (`now`) and kept from coming back (`refuse`). */
async function breakable(page) {
  const wires = new Set();
  const cut = { refuse: false, now: () => Promise.all([...wires].map((wire) => wire.close({ code: 1012 }))) };
  await page.routeWebSocket(/\/socket\.io\//, (wire) => {
    if (cut.refuse) return wire.close({ code: 1012 });
    wires.add(wire);
    wire.connectToServer();
  });
  await page.reload();
  return cut;
}

async function be(page, userId) {
  await page.locator(`.account[data-user=${userId}]`).click();
  await live(page);
  await page.locator("#composer textarea").waitFor();
}

/** Wait until the page says that it is connected (on a phone it says so in the closed drawer). */
function live(page) {
  return page.locator(".live:not(.off)", { hasText: "Live" }).waitFor({ state: "attached" });
}

function row(page, name) {
  return page.locator(".channel button.name", { hasText: name });
}

function message(page, text) {
  return page.locator("article.message", { has: page.locator(".text", { hasText: text }) });
}

function gone(locator) {
  return locator.first().waitFor({ state: "hidden" });
}

function shot(page, name) {
  return page.screenshot({ path: join(folder, `${name}.png`) });
}

async function channel(page, name) {
  await row(page, name).click();
  await page.locator("#head h2", { hasText: name }).waitFor();
}

async function say(page, text) {
  const box = page.locator("#composer textarea");
  await box.fill(text);
  await box.press("Enter");
}

async function tool(page, text, name) {
  await message(page, text).hover();
  await message(page, text).getByRole("button", { name, exact: true }).click();
}

async function channelMenu(page, name, item) {
  await row(page, name).hover();
  await page.locator(`button[aria-label="Channel ${name}: more"]`).click();
  await page.getByRole("menuitem", { name: item }).click();
}

async function fill(page, values) {
  for (const [name, value] of Object.entries(values)) await page.locator(`dialog [name=${name}]`).fill(value);
  await page.locator("dialog button.primary").click();
  await gone(page.locator("dialog"));
}

/** Wait for a drawer's movement to end. */
function settled(page, selector) {
  return page
    .locator(selector)
    .evaluate((element) => Promise.all(element.getAnimations().map(({ finished }) => finished)));
}

/** Poll until the answer is the expected one, within a page's time limit. */
async function equal(ask, expected, deadline = Date.now() + 10_000) {
  for (;;) {
    const answer = await ask();
    if (answer === expected) return;
    if (Date.now() > deadline) throw new Error(`expected ${JSON.stringify(expected)}, got ${JSON.stringify(answer)}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}
