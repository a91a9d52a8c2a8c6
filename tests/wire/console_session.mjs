// The console in Chromium: an open page asks to log in when its session has ended, and accepts the secret of then.
//
//   node console_session.mjs <address of the server> <secret> <secret after the end>
//
// Exits with 1 at the first failure.
import { launchChromium } from "./chromium.mjs";

const [address, secret, later] = process.argv.slice(2);
if (!later) throw new Error("usage: node console_session.mjs <address> <secret> <later secret>");

const browser = await launchChromium();
try {
  const page = await browser.newPage();
  page.setDefaultTimeout(30_000);
  await page.goto(`${address}/realtime-console`);
  await logIn(secret);
  await page.getByText("Connected", { exact: true }).waitFor();
  await fetch(`${address}/page-is-open`); // tells the test
  await page.getByLabel("Secret").waitFor(); // by itself
  if (await page.locator("nav").count()) throw new Error("the page is still there");
  await logIn(later);
  await page.getByText("Connected", { exact: true }).waitFor();

  async function logIn(text) {
    await page.getByLabel("Secret").fill(text);
    await page.getByRole("button", { name: "Log in" }).click();
  }
} finally {
  await browser.close();
}
