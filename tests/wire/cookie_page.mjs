// A page of one origin connects to a server of another, in Chromium, with a cookie that the browser sends to both.
//
//   node cookie_page.mjs <address of the page> <address of the server>
//
// Prints as JSON what the page got: the first frame of a JSON gateway, and whether it could read a polling session with
// credentials and without.
import { launchChromium } from "./chromium.mjs";

const [page, server] = process.argv.slice(2);
const browser = await launchChromium();
try {
  const tab = await browser.newPage();
  await tab.goto(page);
  const got = await tab.evaluate(async (server) => {
    document.cookie = "session=ann";
    const frame = await new Promise((resolve) => {
      const socket = new WebSocket(`${server.replace("http", "ws")}/json`);
      socket.onmessage = (event) => resolve(JSON.parse(event.data).type);
      socket.onerror = () => resolve("refused");
    });
    const polling = `${server}/socket.io/?EIO=4&transport=polling`;
    const read = (credentials) =>
      fetch(polling, { credentials }).then(
        (response) => response.status,
        () => "blocked",
      );
    return { frame, include: await read("include"), omit: await read("omit") };
  }, server);
  console.log(JSON.stringify(got));
} finally {
  await browser.close();
}
