// The page of docs/guides/django.md in two windows of Chromium: logs in, says something, and reads it in both.
//
//   node django_page.mjs <address>
import { launchChromium } from "./chromium.mjs";

const [address] = process.argv.slice(2);
const browser = await launchChromium();
try {
  const context = await browser.newContext();
  const first = await context.newPage();
  const styles = first.waitForResponse((response) => response.url().endsWith("/admin/css/base.css"));
  await first.goto(address);
  if ((await styles).status() !== 200) throw new Error("the admin has no static files");
  await first.fill("#id_username", "ann");
  await first.fill("#id_password", "secret");
  await first.click("[type=submit]");
  await first.waitForURL(address);
  const second = await context.newPage();
  const opened = second.waitForEvent("websocket").then((socket) => socket.waitForEvent("framereceived"));
  await second.goto(address);
  await opened;
  await first.fill("[name=text]", "Hello from the first window");
  await first.click("button");
  for (const page of [first, second]) await page.getByText("ann: Hello from the first window").waitFor();
  await second.goto(`${address}admin/`);
  await second.getByText("Site administration").first().waitFor();
} finally {
  await browser.close();
}
