// Opens pages in Chromium. Their addresses come on stdin, one a line. What appears in them, and their errors, go to stdout
// as lines of JSON: {"url", "text"}. It ends with stdin.
//
// Files of the CDN come from node_modules, because tests have no network.
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { launchChromium } from "./chromium.mjs";

const CDN = "https://cdn.jsdelivr.net/npm/";
const browser = await launchChromium();

const observe = () =>
  new MutationObserver((changes) => {
    for (const change of changes)
      for (const node of change.addedNodes) if (node instanceof HTMLElement && node.textContent) window.shown(node.textContent);
  }).observe(document, { childList: true, subtree: true });

async function open(url) {
  const show = (text) => process.stdout.write(JSON.stringify({ url, text }) + "\n");
  const tab = await browser.newPage();
  tab.on("pageerror", (error) => show(`error: ${error.message}`));
  tab.on("console", (message) => message.type() === "error" && show(`error: ${message.text()}`));
  await tab.exposeFunction("shown", show);
  await tab.addInitScript(observe);
  await tab.route(`${CDN}**`, (route) => {
    const file = route.request().url().slice(CDN.length).replace(/@[\d.]+/, "");
    return route.fulfill({ path: fileURLToPath(new URL(`node_modules/${file}`, import.meta.url)) });
  });
  await tab.goto(url).catch((error) => show(`error: ${error.message}`));
}

for await (const url of createInterface({ input: process.stdin })) open(url);
await browser.close();
