import { debug } from "./debug.js";
import { WebSocketError } from "./errors.js";
import type { ClientFrame, JobError, JobStatus, ServerFrame, StageCompleted } from "./generated/jobs.js";
import { Link, type WebSocketConstructor } from "./link.js";
import { Listeners } from "./listeners.js";

/**
 * Where a client stands.
 *
 * - `connecting`: an attempt is under way.
 * - `connected`: the server has let the client in.
 * - `disconnected`: not connected. An attempt follows where `reconnectAttempts` is not 0.
 * - `error`: refused, or given up after the last attempt. Nothing happens until `connect()`.
 */
export type ConnectionStatus = "connecting" | "connected" | "disconnected" | "error";

export interface WebSocketClientOptions {
  /** The endpoint: ws, wss, http or https. Default: `/ws` on the page's own server. */
  readonly url?: string | URL | undefined;
  /** What `?token=` says, or a function that is asked before each attempt. Default: `demo-token`. */
  readonly token?: string | (() => string | Promise<string>) | undefined;
  /** Milliseconds between losing the connection, or failing to make one, and the next attempt. Default: 3000. */
  readonly reconnectInterval?: number | undefined;
  /** Attempts in a row that may fail before the client gives up. Default: 5. */
  readonly maxReconnectAttempts?: number | undefined;
  /** Milliseconds that an attempt may take, from asking for the token to being let in. Default: 10 000. */
  readonly connectTimeout?: number | undefined;
  /** The constructor of WebSockets. Default: the global one, which Node has since version 22. */
  readonly WebSocket?: WebSocketConstructor | undefined;
}

/** What a client can be asked to tell, by the names that `on` takes. */
export interface WebSocketClientEvents {
  status: { readonly status: ConnectionStatus; readonly reconnectAttempts: number };
  job_status: JobStatus;
  stage_completed: StageCompleted;
  job_error: JobError;
  error: WebSocketError;
  /** Every frame that comes in. */
  received: ServerFrame;
  /** Every frame that goes out. */
  sent: ClientFrame;
}

const POLICY_VIOLATION = 1008;
const DEFAULT_HEARTBEAT = 30_000;

/** Node has no page, and before version 22 no WebSocket. */
const surroundings: {
  readonly WebSocket?: WebSocketConstructor | undefined;
  readonly location?: { readonly href: string } | undefined;
} = globalThis;

/** Follows jobs over one WebSocket, which is made anew when it is lost. */
export class WebSocketClient {
  readonly #options: WebSocketClientOptions;
  readonly #listeners = new Listeners<WebSocketClientEvents>();
  /** How often each job was joined. */
  readonly #jobs = new Map<string, number>();
  #status: ConnectionStatus = "disconnected";
  #reconnectAttempts = 0;
  #told: WebSocketClientEvents["status"] = { status: "disconnected", reconnectAttempts: 0 };
  #link: Link | undefined;
  /** The only timer besides the heartbeat: of the next attempt, or of the attempt under way. */
  #timer: ReturnType<typeof setTimeout> | undefined;
  /** Counts attempts, so that one that was given up is recognised when it ends. */
  #attempt = 0;

  constructor(options: WebSocketClientOptions = {}) {
    this.#options = options;
  }

  /** Where the client stands. */
  get status(): ConnectionStatus {
    return this.#status;
  }

  /** How many attempts there were, or are about to be, since the client was last connected. */
  get reconnectAttempts(): number {
    return this.#reconnectAttempts;
  }

  /** The jobs that are joined whenever the client is connected. */
  get jobs(): readonly string[] {
    return [...this.#jobs.keys()];
  }

  /** Call a function with each such event, until the function that this returns is called. */
  on<Name extends keyof WebSocketClientEvents>(
    name: Name,
    listener: (event: WebSocketClientEvents[Name]) => void,
  ): () => void {
    return this.#listeners.add(name, listener);
  }

  /** Connect now, with all attempts still to come. Does nothing while connecting or connected. */
  connect(): void {
    if (this.#status !== "connecting" && this.#status !== "connected") {
      this.#reconnectAttempts = 0;
      this.#begin();
    }
  }

  /** Close the connection, or stop trying. Jobs stay joined for the next `connect()`. */
  disconnect(): void {
    this.#stop();
    this.#reconnectAttempts = 0;
    this.#become("disconnected");
  }

  /** Follow a job, now or as soon as the client is connected, and after every reconnection. */
  join(jobId: string): void {
    const times = this.#jobs.get(jobId) ?? 0;
    this.#jobs.set(jobId, times + 1);
    if (times === 0) {
      this.#sendIfConnected({ type: "join_job", jobId });
    }
  }

  /** Follow a job no longer, once it has been left as often as it was joined: by all who share the client. */
  leave(jobId: string): void {
    const times = this.#jobs.get(jobId) ?? 0;
    if (times > 1) {
      this.#jobs.set(jobId, times - 1);
    } else if (this.#jobs.delete(jobId)) {
      this.#sendIfConnected({ type: "leave_job", jobId });
    }
  }

  #begin(): void {
    this.#stop();
    const attempt = this.#attempt;
    this.#timer = setTimeout(() => {
      if (this.#link === undefined) {
        this.#lost(0, "no token in time");
      } else {
        this.#link.drop("not let in in time");
      }
    }, this.#options.connectTimeout ?? 10_000);
    this.#become("connecting");
    void this.#open(attempt);
  }

  /** End whatever is under way. */
  #stop(): void {
    this.#attempt += 1;
    clearTimeout(this.#timer);
    this.#link?.close();
    this.#link = undefined;
  }

  async #open(attempt: number): Promise<void> {
    try {
      const { token = "demo-token" } = this.#options;
      // Always a moment later: who disconnects at once, as React's StrictMode does, never reaches the server.
      const value = await (typeof token === "function" ? token() : token);
      if (attempt === this.#attempt) {
        this.#link = this.#dial(value);
      }
    } catch (error) {
      if (attempt === this.#attempt) {
        this.#lost(0, error instanceof Error ? error.message : String(error));
      }
    }
  }

  #dial(token: string): Link {
    const Socket = this.#options.WebSocket ?? surroundings.WebSocket;
    if (Socket === undefined) {
      throw new TypeError("there is no WebSocket here: pass the option WebSocket, such as that of the package ws");
    }
    const url = endpoint(this.#options.url);
    debug(`connecting to ${url.host}${url.pathname}`);
    url.searchParams.set("token", token);
    return new Link(new Socket(url.href), {
      received: (frame) => {
        this.#received(frame);
      },
      unreadable: () => {
        this.#listeners.emit("error", new WebSocketError("INVALID_FRAME", "The server sent something unreadable"));
      },
      ended: (code, reason) => {
        this.#lost(code, reason);
      },
    });
  }

  #received(frame: ServerFrame): void {
    this.#listeners.emit("received", frame);
    switch (frame.type) {
      case "connection_established":
        this.#established(frame.heartbeatInterval);
        break;
      case "job_status":
        this.#listeners.emit("job_status", frame.data);
        break;
      case "stage_completed":
        this.#listeners.emit("stage_completed", frame.data);
        break;
      case "job_error":
        this.#listeners.emit("job_error", frame.data);
        break;
      case "error":
        this.#listeners.emit("error", new WebSocketError(frame.code, frame.message));
        break;
      case "pong": // the link has noticed
        break;
    }
  }

  #established(heartbeatInterval: number): void {
    // Also the answer to a new token, when the client is connected already.
    if (this.#status !== "connecting") {
      return;
    }
    clearTimeout(this.#timer);
    this.#reconnectAttempts = 0;
    this.#link?.keepAlive(Number.isFinite(heartbeatInterval) ? heartbeatInterval : DEFAULT_HEARTBEAT, () => {
      this.#sendIfConnected({ type: "ping" });
    });
    this.#status = "connected";
    for (const jobId of this.#jobs.keys()) {
      this.#sendIfConnected({ type: "join_job", jobId });
    }
    this.#tellStatus();
  }

  #sendIfConnected(frame: ClientFrame): void {
    if (this.#status === "connected" && this.#link?.send(frame) === true) {
      this.#listeners.emit("sent", frame);
    }
  }

  #lost(code: number, reason: string): void {
    const wasConnected = this.#status === "connected";
    this.#stop();
    const left = (this.#options.maxReconnectAttempts ?? 5) - this.#reconnectAttempts;
    // Trying again with the same token would be refused again; a function may know a newer one.
    const refused = code === POLICY_VIOLATION && !(wasConnected && typeof this.#options.token === "function");
    if (refused || left <= 0) {
      this.#become("error");
    } else {
      this.#reconnectAttempts += 1;
      this.#timer = setTimeout(() => {
        this.#begin();
      }, this.#options.reconnectInterval ?? 3000);
      this.#become("disconnected");
    }
    if (refused && wasConnected) {
      this.#listeners.emit("error", new WebSocketError("UNAUTHORIZED", reason));
    } else if (!refused && !wasConnected) {
      const why = reason === "" ? "The connection could not be made" : `The connection could not be made: ${reason}`;
      this.#listeners.emit("error", new WebSocketError("CONNECTION_FAILED", why));
    }
    if (!refused && left <= 0) {
      this.#listeners.emit("error", new WebSocketError("GAVE_UP", "No attempt to reconnect is left"));
    }
  }

  #become(status: ConnectionStatus): void {
    this.#status = status;
    this.#tellStatus();
  }

  #tellStatus(): void {
    const now = { status: this.#status, reconnectAttempts: this.#reconnectAttempts };
    if (now.status !== this.#told.status || now.reconnectAttempts !== this.#told.reconnectAttempts) {
      this.#told = now;
      debug(now.status);
      this.#listeners.emit("status", now);
    }
  }
}

function endpoint(given: string | URL | undefined): URL {
  const page = surroundings.location?.href;
  if (given === undefined && page === undefined) {
    throw new TypeError("there is no page here: pass the option url");
  }
  const url = new URL(given ?? "/ws", page);
  url.protocol = url.protocol.replace(/^http/, "ws");
  url.hash = ""; // which a WebSocket must not have
  return url;
}
