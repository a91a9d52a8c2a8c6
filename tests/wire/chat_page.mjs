// The chat page as users see it: two desktop windows and a phone.
//
//   node chat_page.mjs <address of the example> <folder for screenshots>
//
// Exits with 1 at the first failure, and prints the step.
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { launchChromium } from "./chromium.mjs";

const [address, folder] = process.argv.slice(2);
if (!address || !folder) throw new Error("usage: node chat_page.mjs <address> <folder for screenshots>");
mkdirSync(folder, { recursive: true });

const browser = await launchChromium();
const errors = [];
const run = Date.now().toString(36); // names of this run, so that the script can run again on the same server
let step = "start";

try {
  await runSteps();
  if (errors.length) throw new Error(`the browser reported errors:\n  ${errors.join("\n  ")}`);
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

async function runSteps() {
  const viewport = { width: 1280, height: 800 };
  const alice = await open(await browser.newContext({ viewport, colorScheme: "light" }));
  const bob = await open(await browser.newContext({ viewport, colorScheme: "dark" }));
  const cut = await interceptWebSocket(bob);

  begin("sign in; a second window of the same browser can be another user");
  await shot(alice, "log-in");
  await logIn(alice, "alice");
  const second = await open(alice.context());
  await second.locator(".account[data-user=bob]").waitFor();
  await second.close();
  await logIn(bob, "bob");
  await alice.locator(".person[data-user=bob] .dot.online").waitFor();
  await bob.locator(".person[data-user=alice] .dot.online").waitFor();

  begin("a message arrives, is counted while unread, and is shown below the line for new messages");
  await channel(alice, "general");
  await channel(bob, "random");
  await send(alice, `Good morning ${run}`);
  await bob.locator(".channel.unread", { hasText: "general" }).waitFor();
  await equal(async () => (await bob.title()).startsWith("("), true);
  await channel(bob, "general");
  await message(bob, `Good morning ${run}`).waitFor();
  await bob.locator(".rule.new").waitFor();
  await hidden(bob.locator(".channel.unread", { hasText: "general" }));

  begin("reply and react");
  await tool(bob, `Good morning ${run}`, "React");
  await bob.locator(".picker").getByLabel("Heart").click();
  await message(alice, `Good morning ${run}`).locator('.reaction[aria-pressed="false"]', { hasText: "1" }).click();
  await message(bob, `Good morning ${run}`).locator('.reaction[aria-pressed="true"]', { hasText: "2" }).waitFor();
  await tool(bob, `Good morning ${run}`, "Reply");
  await send(bob, `Hello back ${run}`);
  await message(alice, `Hello back ${run}`)
    .locator(".quote", { hasText: `Good morning ${run}` })
    .waitFor();

  begin("edit and delete");
  await tool(alice, `Good morning ${run}`, "Edit");
  await equal(() => alice.locator("textarea").inputValue(), `Good morning ${run}`);
  await send(alice, `Good evening ${run}`);
  await message(bob, `Good evening ${run}`).locator(".edited").waitFor();
  await send(alice, `Never mind ${run}`);
  await message(bob, `Never mind ${run}`).waitFor();
  await shot(bob, "conversation-dark");
  await tool(alice, `Never mind ${run}`, "Delete");
  await alice.locator("dialog button.danger").click();
  await hidden(message(bob, `Never mind ${run}`));

  begin("markup in a message is shown as text");
  const markup = `<img src=x onerror="document.title='owned'"> ${run}`;
  await send(alice, markup);
  await message(bob, markup).waitFor();
  await equal(() => bob.locator(".text img").count(), 0);

  begin("a sticker is sent over the socket");
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

  begin("a channel is created, renamed, hidden, shown and deleted");
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
  await hidden(row(bob, `schemes-${run}`));
  await channelMenu(alice, `schemes-${run}`, "Who can see it");
  await alice.locator("dialog input[name=bob]").check();
  await alice.locator("dialog button.primary").click();
  await row(bob, `schemes-${run}`).waitFor();
  await channelMenu(alice, `schemes-${run}`, "Delete channel");
  await alice.locator("dialog button.danger").click();
  await hidden(row(bob, `schemes-${run}`));

  begin("a direct message arrives once");
  await alice.locator(".person[data-user=bob] button.name").click();
  await alice.getByRole("menuitem", { name: "Message Bob" }).click();
  await alice.locator("#head h2", { hasText: "Bob" }).waitFor();
  await send(alice, `Psst ${run}`);
  await bob.locator(".tile[data-server=home] .badge").waitFor();
  await bob.locator(".tile[data-server=home]").click();
  await row(bob, "Alice").click();
  await message(bob, `Psst ${run}`).waitFor();
  await equal(() => message(bob, `Psst ${run}`).count(), 1);
  await equal(() => message(alice, `Psst ${run}`).count(), 1);

  begin("after a reload the same user sees the same channel");
  await bob.reload();
  await message(bob, `Psst ${run}`).waitFor();
  await connected(bob);

  begin("a lost connection is shown, is restored, and no message is missed");
  cut.refuse = true;
  await cut.now();
  await bob.locator("#banner[data-state=lost]").waitFor();
  await shot(bob, "reconnecting");
  await send(alice, `While you were out ${run}`);
  await alice.locator(".tile:not(.action)").nth(1).click();
  await channel(alice, "general");
  await send(alice, `And here too ${run}`);
  await message(alice, `And here too ${run}`).waitFor();
  cut.refuse = false;
  await message(bob, `While you were out ${run}`).waitFor();
  await connected(bob);
  await equal(() => message(bob, `While you were out ${run}`).count(), 1);
  await bob.locator(".tile:not(.action)").nth(1).locator(".badge", { hasText: "1" }).waitFor();

  begin("a new session gets what came since the messages were loaded");
  await bob.locator(".tile:not(.action)").nth(1).click();
  await channel(bob, "general");
  await message(bob, `And here too ${run}`).waitFor();
  cut.refuse = cut.forget = true;
  await cut.now();
  await bob.locator("#banner[data-state=lost]").waitFor();
  await send(alice, `For a new session ${run}`);
  await message(alice, `For a new session ${run}`).waitFor();
  cut.refuse = false;
  await message(bob, `For a new session ${run}`).waitFor();
  await connected(bob);
  cut.forget = false;
  await equal(() => message(bob, `For a new session ${run}`).count(), 1);
  await equal(() => message(bob, `And here too ${run}`).count(), 1);
  await equal(() => cut.sent.filter((frame) => frame.includes("channel/follow")).length > 0, true);
  await equal(() => cut.received.some((frame) => /^43\d+\[{"success":true}\]$/.test(frame)), true);

  begin("create a server, and invite a user");
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

  begin("kick a member");
  await alice.locator(".person[data-user=bob]").hover();
  await shot(alice, "people");
  await alice.locator(".person[data-user=bob] .kick").click();
  await alice.locator("dialog button.danger").click();
  await bob
    .getByRole("alert")
    .filter({ hasText: `You were removed from Tea house ${run}` })
    .waitFor();
  await equal(() => bob.locator(`.tile[title="Tea house ${run}"]`).count(), 0);
  await hidden(alice.locator(".person[data-user=bob]"));
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
  await logIn(carol, "carol");
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

  begin("a user that closes the page goes offline");
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
  page.on("pageerror", (error) => errors.push(error.stack));
  page.on("console", (line) => line.type() === "error" && errors.push(`${step}: ${line.text()}`));
  await page.goto(address);
  return page;
}

/**
 * From the next load on, the page's WebSocket can be closed (`now`) and new ones refused (`refuse`). With `forget` the
 * server does not learn which session the page had.
 */
async function interceptWebSocket(page) {
  const wires = new Set();
  const cut = { refuse: false, forget: false, sent: [], received: [], now: () => Promise.all([...wires].map((wire) => wire.close({ code: 1012 }))) };
  await page.routeWebSocket(/\/socket\.io\//, (wire) => {
    if (cut.refuse) return wire.close({ code: 1012 });
    wires.add(wire);
    const server = wire.connectToServer();
    wire.onMessage((frame) => {
      cut.sent.push(frame);
      server.send(cut.forget ? frame.replace(/"pid":"[^"]*"/, '"pid":""') : frame);
    });
    server.onMessage((frame) => {
      cut.received.push(frame);
      wire.send(frame);
    });
  });
  await page.reload();
  return cut;
}

async function logIn(page, userId) {
  await page.locator(`.account[data-user=${userId}]`).click();
  await connected(page);
  await page.locator("#composer textarea").waitFor();
}

/** Wait until the page shows that it is connected. On a phone this is in the closed drawer. */
function connected(page) {
  return page.locator(".live:not(.off)", { hasText: "Live" }).waitFor({ state: "attached" });
}

function row(page, name) {
  return page.locator(".channel button.name", { hasText: name });
}

function message(page, text) {
  return page.locator("article.message", { has: page.locator(".text", { hasText: text }) });
}

function hidden(locator) {
  return locator.first().waitFor({ state: "hidden" });
}

function shot(page, name) {
  return page.screenshot({ path: join(folder, `${name}.png`) });
}

async function channel(page, name) {
  await row(page, name).click();
  await page.locator("#head h2", { hasText: name }).waitFor();
}

async function send(page, text) {
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
  await hidden(page.locator("dialog"));
}

/** Wait until a drawer's animation has ended. */
function settled(page, selector) {
  return page
    .locator(selector)
    .evaluate((element) => Promise.all(element.getAnimations().map(({ finished }) => finished)));
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
