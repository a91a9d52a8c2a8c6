// Imports everything that the npm package exports, in a folder in which only it is installed.
import { readFile } from "node:fs/promises";

const { exports, version } = JSON.parse(await readFile("node_modules/asgi-realtime/package.json", "utf8"));
const needsPeer = new Set(["./react"]); // React is an optional peer
for (const path of Object.keys(exports).filter((each) => !needsPeer.has(each))) {
  await import(`asgi-realtime${path.slice(1)}`);
}
const { WebSocketClient } = await import("asgi-realtime");
if (typeof WebSocketClient !== "function") throw new Error("WebSocketClient is not exported");
console.log(`asgi-realtime ${version}: ${Object.keys(exports).join(" ")}`);
