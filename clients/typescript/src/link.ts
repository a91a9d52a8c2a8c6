import { debug } from "./debug.js";
import type { ClientFrame, ServerFrame } from "./generated/jobs.js";

/** What is used of a WebSocket: the browser's, Node's, and that of the npm package `ws` all fit. */
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
  /** Something arrived that is no frame. */
  unreadable(): void;
  /** The WebSocket has ended, whoever ended it, except by `close`. Called once, and nothing after it. */
  ended(code: number, reason: string): void;
}

const OPEN = 1;
const ABNORMAL = 1006; // RFC 6455, section 7.1.5: there was no close frame
const SHORTEST_HEARTBEAT = 100; // ms
const LONGEST_HEARTBEAT = 2 ** 31 - 1; // ms; a longer timer would fire at once

/** One WebSocket, from its opening to its end. */
export class Link {
  readonly #socket: WebSocketLike;
  readonly #listener: LinkListener;
  #heartbeat: ReturnType<typeof setInterval> | undefined;
  #heard = true;
  #over = false;

  constructor(socket: WebSocketLike, listener: LinkListener) {
    this.#socket = socket;
    this.#listener = listener;
    socket.addEventListener("message", ({ data }) => {
      this.#read(data);
    });
    socket.addEventListener("close", ({ code, reason }) => {
      this.#end(code, reason);
    });
    // Says nothing that `close`, which follows, does not say.
    socket.addEventListener("error", () => undefined);
  }

  /** Send a frame. Returns whether it went out: a WebSocket that is about to end takes none. */
  send(frame: ClientFrame): boolean {
    if (this.#over || this.#socket.readyState !== OPEN) {
      return false;
    }
    this.#socket.send(JSON.stringify(frame));
    debug("sent", frame);
    return true;
  }

  /** Ping at this interval, in milliseconds. A server that has said nothing since the last ping is gone. */
  keepAlive(interval: number, ping: () => void): void {
    clearInterval(this.#heartbeat);
    const bounded = Math.min(Math.max(interval, SHORTEST_HEARTBEAT), LONGEST_HEARTBEAT);
    this.#heartbeat = setInterval(() => {
      if (this.#heard) {
        this.#heard = false;
        ping();
      } else {
        this.drop("no answer to a ping");
      }
    }, bounded);
  }

  /** Close it for good, and hear no more of it. */
  close(): void {
    this.#finish();
  }

  /** Take it for lost, without waiting for the other side. */
  drop(reason: string): void {
    this.#end(ABNORMAL, reason);
  }

  #read(data: unknown): void {
    if (this.#over) {
      return;
    }
    this.#heard = true;
    const frame = typeof data === "string" ? parse(data) : undefined;
    if (frame === undefined) {
      debug("received something that is no frame");
      this.#listener.unreadable();
    } else {
      debug("received", frame);
      this.#listener.received(frame);
    }
  }

  #end(code: number, reason: string): void {
    if (!this.#over) {
      this.#finish();
      debug(`ended with ${code}`, reason);
      this.#listener.ended(code, reason);
    }
  }

  #finish(): void {
    this.#over = true;
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
  // The server's word is taken for the rest: both sides' types have one source.
  return typeof value === "object" && value !== null && "type" in value && typeof value.type === "string"
    ? (value as ServerFrame)
    : undefined;
}
