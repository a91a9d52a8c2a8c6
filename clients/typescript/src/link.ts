import { debug } from "./debug.js";
import type { ClientFrame, ServerFrame } from "./generated/jobs.js";

/** The members of a WebSocket that are used. The WebSockets of browsers, Node and the npm package `ws` have them. */
export interface WebSocketLike {
  readonly readyState: number;
  send(data: string): void;
  close(code?: number, reason?: string): void;
  addEventListener(type: "open" | "error", listener: () => void): void;
  addEventListener(type: "message", listener: (event: { readonly data: unknown }) => void): void;
  addEventListener(type: "close", listener: (event: { readonly code: number; readonly reason: string }) => void): void;
}

export type WebSocketConstructor = new (url: string) => WebSocketLike;

export interface LinkListener {
  received(frame: ServerFrame): void;
  /** A message that is not a frame was received. */
  invalid(): void;
  /** The WebSocket has ended, but not by `close`. Called once, as the last call. */
  ended(code: number, reason: string): void;
}

const OPEN = 1;
const ABNORMAL = 1006; // RFC 6455, section 7.1.5: no close frame was received
const SHORTEST_HEARTBEAT = 100; // ms
const LONGEST_HEARTBEAT = 2 ** 31 - 1; // ms; a longer timer would fire at once

/** One WebSocket, from its opening to its end. */
export class Link {
  readonly #socket: WebSocketLike;
  readonly #listener: LinkListener;
  #heartbeat: ReturnType<typeof setInterval> | undefined;
  #receivedSincePing = true;
  #ended = false;

  constructor(socket: WebSocketLike, listener: LinkListener) {
    this.#socket = socket;
    this.#listener = listener;
    socket.addEventListener("message", ({ data }) => {
      this.#read(data);
    });
    socket.addEventListener("close", ({ code, reason }) => {
      this.#end(code, reason);
    });
    // The `close` event follows and contains the same information.
    socket.addEventListener("error", () => undefined);
  }

  /** Send a frame. Returns whether it was sent: a WebSocket that is closing sends nothing. */
  send(frame: ClientFrame): boolean {
    if (this.#ended || this.#socket.readyState !== OPEN) {
      return false;
    }
    this.#socket.send(JSON.stringify(frame));
    debug("sent", frame);
    return true;
  }

  /** Ping at this interval, in milliseconds. If the server has sent nothing since the last ping, the connection is lost. */
  keepAlive(interval: number, ping: () => void): void {
    clearInterval(this.#heartbeat);
    const bounded = Math.min(Math.max(interval, SHORTEST_HEARTBEAT), LONGEST_HEARTBEAT);
    this.#heartbeat = setInterval(() => {
      if (this.#receivedSincePing) {
        this.#receivedSincePing = false;
        ping();
      } else {
        this.drop("no answer to a ping");
      }
    }, bounded);
  }

  /** Close the WebSocket. No callback is called after this. */
  close(): void {
    this.#finish();
  }

  /** Treat the connection as lost, without waiting for the server. */
  drop(reason: string): void {
    this.#end(ABNORMAL, reason);
  }

  #read(data: unknown): void {
    if (this.#ended) {
      return;
    }
    this.#receivedSincePing = true;
    const frame = typeof data === "string" ? parse(data) : undefined;
    if (frame === undefined) {
      debug("received a message that is not a frame");
      this.#listener.invalid();
    } else {
      // The id with which the client recovers is a secret, as a token.
      debug("received", "recovery" in frame ? { ...frame, recovery: "(not logged)" } : frame);
      this.#listener.received(frame);
    }
  }

  #end(code: number, reason: string): void {
    if (!this.#ended) {
      this.#finish();
      debug(`ended with ${code}`, reason);
      this.#listener.ended(code, reason);
    }
  }

  #finish(): void {
    this.#ended = true;
    clearInterval(this.#heartbeat);
    this.#socket.close();
  }
}

function parse(text: string): ServerFrame | undefined {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return undefined;
  }
  // Other fields are not checked: the types of client and server are generated from the same declarations.
  return typeof value === "object" && value !== null && "type" in value && typeof value.type === "string"
    ? (value as ServerFrame)
    : undefined;
}
