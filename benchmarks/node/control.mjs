// Shared by all Node systems: a port, the route that requests broadcasts, the payload.

import { createServer } from "node:http";

const EVENT = "MESSAGE_CREATE";

/** An HTTP server on `process.argv[2]`; `broadcast(event, payload)` is called for each requested message. */
export function serve(broadcast) {
  const server = createServer((request, response) => {
    const [, route, first, count, size] = request.url.split("/");
    if (route !== "broadcast") {
      response.writeHead(404).end();
      return;
    }
    const text = "x".repeat(Number(size));
    for (let number = Number(first); number < Number(first) + Number(count); number++) {
      broadcast(EVENT, { number, text });
    }
    response.end();
  });
  server.listen(Number(process.argv[2]), "127.0.0.1", 2048);
  return server;
}
