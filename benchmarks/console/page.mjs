// The console in Chromium, for `python -m benchmarks.console`: reads commands from standard input, answers each with a line.
//
//   node page.mjs <address of the server> <secret>
import { createInterface } from "node:readline";
import { chromium } from "../../tests/wire/node_modules/playwright-core/index.mjs";

const [address, secret] = process.argv.slice(2);
if (!secret) throw new Error("usage: node page.mjs <address> <secret>");
const path = `${address}/realtime-console`;
const executablePath = process.env.CHROMIUM ?? "/usr/bin/chromium";
const browser = await chromium.launch({ executablePath, args: ["--no-sandbox", "--disable-gpu", "--disable-background-networking"] });
const page = await browser.newPage({ viewport: { width: 1280, height: 800 } });
let turning;

const LOADS = 5;

/** The median of some loads. */
async function firstRows(view) {
  const found = [];
  for (let load = 0; load < LOADS; load += 1) found.push(await rowsAfterLoad(view));
  return found.sort((a, b) => a - b)[Math.floor(LOADS / 2)];
}

/** Milliseconds from the start of the navigation until the first row of a view is painted. */
async function rowsAfterLoad(view) {
  await page.goto("about:blank");
  await page.goto(`${path}#/${view}?gateway=%2Fclients`);
  return page.evaluate(
    () =>
      new Promise((resolve) => {
        const look = () =>
          document.querySelector("tbody tr th") ? requestAnimationFrame(() => resolve(performance.now())) : requestAnimationFrame(look);
        look();
      }),
  );
}

const commands = {
  async open() {
    await page.goto(path);
    await page.getByLabel("Secret").fill(secret);
    await page.getByRole("button", { name: "Log in" }).click();
    await page.locator("tbody tr").first().waitFor();
    const found = {};
    for (const view of ["connections", "rooms", "users", "nodes"]) found[view] = await firstRows(view);
    return found;
  },
  async turn() {
    await rowsAfterLoad("connections");
    turning = setInterval(() => page.getByRole("button", { name: "Next" }).click(), 1000);
    return {};
  },
  async rest() {
    clearInterval(turning);
    return {};
  },
};

for await (const line of createInterface({ input: process.stdin })) {
  console.log(JSON.stringify(await commands[line]()));
}
await browser.close();
