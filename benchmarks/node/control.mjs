// Shared by all Node systems: a port, the route that requests broadcasts, the payload.

import { createServer } from "node:http";

const EVENT = "MESSAGE_CREATE";

/**
 * An HTTP server; `broadcast(event, payload)` is called for each requested message. A request may say how many messages
 * are broadcast at a time. After each such number, `accepted()` is awaited.
 */
export function control(broadcast, accepted) {
  return createServer(async (request, response) => {
    const [, route, first, count, size, together] = request.url.split("/");
    if (route !== "broadcast") {
      response.writeHead(404).end();
      return;
    }
    const text = "x".repeat(Number(size));
    for (let number = Number(first); number < Number(first) + Number(count); number++) {
      broadcast(EVENT, { number, text });
      if (together && (number - Number(first) + 1) % Number(together) === 0) {
        await accepted();
      }
    }
    response.end();
  });
}

/** Listens on the port `process.argv[2]`. */
export function listen(server) {
  server.listen(Number(process.argv[2]), "127.0.0.1", 2048);
}
