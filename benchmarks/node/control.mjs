// Shared by all Node systems: a port, the route that requests broadcasts, the payload.

import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import { createServer as createTLSServer } from "node:https";

const EVENT = "MESSAGE_CREATE";

/** The name of a small room. */
export const roomName = (number) => `room${number}`;

function serve(listener) {
  const { TLS_CERTIFICATE: certificate, TLS_KEY: key } = process.env;
  return certificate
    ? createTLSServer({ cert: readFileSync(certificate), key: readFileSync(key) }, listener)
    : createServer(listener);
}

/**
 * An HTTP server, with TLS if the environment names a certificate and its key. `benchmarks/load/main.c` describes the
 * requests. `broadcast(event, payload)` is called for each message to all clients. A request may say how many messages
 * are broadcast at a time. After each such number, `accepted()` is awaited. The other kinds that a system may have are
 * called likewise: `except(event, payload, room)`, to all but the client that is alone in a room, and
 * `rooms(event, payload, room)`.
 */
export function control(broadcast, accepted = async () => {}, others = {}) {
  const toAll = { broadcast, ...others };
  return serve(async (request, response) => {
    const [, route, first, ...rest] = request.url.split("/");
    if (!toAll[route]) {
      response.writeHead(404).end();
      return;
    }
    let number = Number(first);
    if (route === "rooms") {
      const [size, ...rooms] = rest;
      const text = "x".repeat(Number(size));
      for (const room of rooms) {
        others.rooms(EVENT, { number: number++, text }, roomName(room));
      }
    } else {
      const [count, size, together, clients] = rest.map(Number);
      const text = "x".repeat(size);
      for (const end = number + count; number < end; number++) {
        toAll[route](EVENT, { number, text }, clients && roomName(number % clients));
        if (together && (number - Number(first) + 1) % together === 0) {
          await accepted();
        }
      }
    }
    response.end();
  });
}

/** Listens on the port `process.argv[2]`. */
export function listen(server) {
  server.listen(Number(process.argv[2]), "127.0.0.1", 2048);
}
