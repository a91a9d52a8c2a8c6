import { debug } from "./debug.js";
import { WebSocketError } from "./errors.js";
import type { ClientFrame, JobError, JobStatus, ServerFrame, StageCompleted } from "./generated/jobs.js";
import { Link, type WebSocketConstructor } from "./link.js";
import { Listeners } from "./listeners.js";
import { Session } from "./session.js";

/**
 * The state of a client's connection.
 *
 * - `connecting`: an attempt is in progress.
 * - `connected`: the server has accepted the client.
 * - `disconnected`: not connected. An attempt follows if `reconnectAttempts` is not 0.
 * - `error`: refused, or the last attempt has failed. Call `connect()` to try again.
 */
export type ConnectionStatus = "connecting" | "connected" | "disconnected" | "error";

export interface WebSocketClientOptions {
  /** The endpoint: ws, wss, http or https. Default: `/ws` on the page's own server. */
  readonly url?: string | URL | undefined;
  /** The value of `?token=`, or a function that returns it and is called before each attempt. Default: `demo-token`. */
  readonly token?: string | (() => string | Promise<string>) | undefined;
  /** Milliseconds from a lost connection or a failed attempt to the next attempt. Default: 3000. */
  readonly reconnectInterval?: number | undefined;
  /** Attempts in a row that may fail before the client gives up. Default: 5. */
  readonly maxReconnectAttempts?: number | undefined;
  /** Milliseconds that an attempt may take, from calling `token` until the server accepts. Default: 10 000. */
  readonly connectTimeout?: number | undefined;
  /** The WebSocket constructor. Default: the global one, which Node has since version 22. */
  readonly WebSocket?: WebSocketConstructor | undefined;
}

/** The events of a client, by the names that `on` takes. */
export interface WebSocketClientEvents {
  status: { readonly status: ConnectionStatus; readonly reconnectAttempts: number };
  /** The server has accepted the client. See `recovered`; the missed events come next. */
  connected: { readonly recovered: boolean };
  job_status: JobStatus;
  stage_completed: StageCompleted;
  job_error: JobError;
  error: WebSocketError;
  /** Every frame received, as it was sent: those of broadcasts have their position as `offset`. */
  received: ServerFrame;
  /** Every frame sent. */
  sent: ClientFrame;
}

const POLICY_VIOLATION = 1008;
const DEFAULT_HEARTBEAT = 30_000;

/** The globals that are used. Node has no `location`, and before version 22 no `WebSocket`. */
const environment: {
  readonly WebSocket?: WebSocketConstructor | undefined;
  readonly location?: { readonly href: string } | undefined;
} = globalThis;

/** Follows jobs over one WebSocket, and reconnects when it is lost. */
export class WebSocketClient {
  readonly #options: WebSocketClientOptions;
  readonly #listeners = new Listeners<WebSocketClientEvents>();
  /** How often each job was joined. */
  readonly #jobs = new Map<string, number>();
  /** The last status of each of these jobs. */
  readonly #statuses = new Map<string, JobStatus>();
  #status: ConnectionStatus = "disconnected";
  #reconnectAttempts = 0;
  #lastStatus: WebSocketClientEvents["status"] = { status: "disconnected", reconnectAttempts: 0 };
  #link: Link | undefined;
  #session = new Session();
  /** Whether the next `pong` is behind the missed events. */
  #awaitsMissed = false;
  /** The only timer besides the heartbeat: for the next attempt, or for the current one. */
  #timer: ReturnType<typeof setTimeout> | undefined;
  /** Counts attempts, so that the end of an abandoned one is recognised. */
  #attempt = 0;

  constructor(options: WebSocketClientOptions = {}) {
    this.#options = options;
  }

  /** The state of the connection. */
  get status(): ConnectionStatus {
    return this.#status;
  }

  /** The number of attempts since the client was last connected, including the next one if it is scheduled. */
  get reconnectAttempts(): number {
    return this.#reconnectAttempts;
  }

  /**
   * Whether the client, when it connected last, got the events that it had missed since the connection was lost: each once
   * and in order. False: it may have missed events, as after its first connection.
   */
  get recovered(): boolean {
    return this.#session.recovered;
  }

  /** The jobs that the client joins whenever it connects. */
  get jobs(): readonly string[] {
    return [...this.#jobs.keys()];
  }

  /** The last status that came of a job that the client follows. */
  statusOf(jobId: string): JobStatus | undefined {
    return this.#statuses.get(jobId);
  }

  /** Call a function with each event of this name. Returns a function that removes it. */
  on<Name extends keyof WebSocketClientEvents>(
    name: Name,
    listener: (event: WebSocketClientEvents[Name]) => void,
  ): () => void {
    return this.#listeners.add(name, listener);
  }

  /** Connect now. The count of attempts starts again. Does nothing while connecting or connected. */
  connect(): void {
    if (this.#status !== "connecting" && this.#status !== "connected") {
      this.#reconnectAttempts = 0;
      this.#begin();
    }
  }

  /** Close the connection, or stop trying. The next `connect()` joins the same jobs, and recovers no missed events. */
  disconnect(): void {
    this.#stop();
    this.#session = new Session();
    this.#reconnectAttempts = 0;
    this.#become("disconnected");
  }

  /** Follow a job from now on, or as soon as the client is connected, and after every reconnection. */
  join(jobId: string): void {
    const times = this.#jobs.get(jobId) ?? 0;
    this.#jobs.set(jobId, times + 1);
    if (times === 0) {
      this.#sendJoin(jobId);
    }
  }

  /** Stop following a job. If components share the client, it stops when all that joined the job have left it. */
  leave(jobId: string): void {
    const times = this.#jobs.get(jobId) ?? 0;
    if (times > 1) {
      this.#jobs.set(jobId, times - 1);
    } else if (this.#jobs.delete(jobId)) {
      this.#statuses.delete(jobId);
      this.#sendLeave(jobId);
    }
  }

  #begin(): void {
    this.#stop();
    const attempt = this.#attempt;
    this.#timer = setTimeout(() => {
      if (this.#link === undefined) {
        this.#lost(0, "no token in time");
      } else {
        this.#link.drop("not accepted in time");
      }
    }, this.#options.connectTimeout ?? 10_000);
    this.#become("connecting");
    void this.#open(attempt);
  }

  /** End the current attempt or connection. */
  #stop(): void {
    this.#attempt += 1;
    clearTimeout(this.#timer);
    this.#link?.close();
    this.#link = undefined;
  }

  async #open(attempt: number): Promise<void> {
    try {
      const { token = "demo-token" } = this.#options;
      // Awaits also a plain string: if `disconnect()` follows at once, as in React's StrictMode, no WebSocket is opened.
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
    const Socket = this.#options.WebSocket ?? environment.WebSocket;
    if (Socket === undefined) {
      throw new TypeError("no global WebSocket: pass the option WebSocket, for example that of the package ws");
    }
    const url = endpoint(this.#options.url);
    debug(`connecting to ${url.host}${url.pathname}`);
    url.searchParams.set("token", token);
    if (this.#session.reference !== undefined) {
      url.searchParams.set("recovery", JSON.stringify(this.#session.reference));
    }
    return new Link(new Socket(url.href), {
      received: (frame) => {
        this.#received(frame);
      },
      invalid: () => {
        this.#listeners.emit("error", new WebSocketError("INVALID_FRAME", "The server sent a message that is not a frame"));
      },
      ended: (code, reason) => {
        this.#lost(code, reason);
      },
    });
  }

  #received(frame: ServerFrame): void {
    this.#session.received(frame);
    const attempt = this.#attempt;
    this.#listeners.emit("received", frame);
    if (attempt !== this.#attempt) {
      return; // a listener has ended this connection, so the frame says nothing about the next one
    }
    switch (frame.type) {
      case "connection_established":
        this.#established(frame);
        break;
      case "job_status":
        if (this.#jobs.has(frame.data.jobId)) this.#statuses.set(frame.data.jobId, frame.data);
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
      case "pong":
        if (this.#awaitsMissed) {
          this.#awaitsMissed = false;
          this.#joinWhatIsMissing();
        }
        break;
    }
  }

  #established({ heartbeatInterval, recovery }: Extract<ServerFrame, { type: "connection_established" }>): void {
    // The server sends this also as the answer to a new token while the client is connected.
    if (this.#status !== "connecting") {
      return;
    }
    clearTimeout(this.#timer);
    this.#reconnectAttempts = 0;
    this.#link?.keepAlive(Number.isFinite(heartbeatInterval) ? heartbeatInterval : DEFAULT_HEARTBEAT, () => {
      this.#ping();
    });
    this.#status = "connected";
    this.#session.begin(recovery);
    this.#listeners.emit("connected", { recovered: this.#session.recovered });
    this.#resumeJobs();
    this.#emitStatus();
  }

  /** Join the jobs that the server's session is not in, and leave those that were left in the meantime. */
  #resumeJobs(): void {
    for (const jobId of this.#session.jobs.filter((each) => !this.#jobs.has(each))) {
      this.#sendLeave(jobId);
    }
    // Joining again would send the last status again. So the missed events, which come before the answer, are read first:
    // they may show that the server has handled a join.
    this.#awaitsMissed = this.#session.recovered && [...this.#jobs.keys()].some((each) => !this.#session.isJoined(each));
    if (this.#awaitsMissed) {
      this.#ping();
    } else {
      this.#joinWhatIsMissing();
    }
  }

  #joinWhatIsMissing(): void {
    for (const jobId of this.#jobs.keys()) {
      if (!this.#session.isJoined(jobId)) {
        this.#sendJoin(jobId);
      }
    }
  }

  #sendJoin(jobId: string): void {
    if (this.#sendIfConnected({ type: "join_job", jobId })) {
      this.#session.joined(jobId);
    }
  }

  #sendLeave(jobId: string): void {
    if (this.#sendIfConnected({ type: "leave_job", jobId })) {
      this.#session.left(jobId);
    }
  }

  #ping(): void {
    this.#session.pinged();
    this.#sendIfConnected({ type: "ping" });
  }

  /** Returns whether it was sent. */
  #sendIfConnected(frame: ClientFrame): boolean {
    const sent = this.#status === "connected" && this.#link?.send(frame) === true;
    if (sent) {
      this.#listeners.emit("sent", frame);
    }
    return sent;
  }

  #lost(code: number, reason: string): void {
    const wasConnected = this.#status === "connected";
    this.#stop();
    const left = (this.#options.maxReconnectAttempts ?? 5) - this.#reconnectAttempts;
    // The same token would be refused again. A function may return a newer one.
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
    this.#emitStatus();
  }

  #emitStatus(): void {
    const current = { status: this.#status, reconnectAttempts: this.#reconnectAttempts };
    if (
      current.status !== this.#lastStatus.status ||
      current.reconnectAttempts !== this.#lastStatus.reconnectAttempts
    ) {
      this.#lastStatus = current;
      debug(current.status);
      this.#listeners.emit("status", current);
    }
  }
}

function endpoint(given: string | URL | undefined): URL {
  const page = environment.location?.href;
  if (given === undefined && page === undefined) {
    throw new TypeError("no page to take the server from: pass the option url");
  }
  const url = new URL(given ?? "/ws", page);
  url.protocol = url.protocol.replace(/^http/, "ws");
  url.hash = ""; // not allowed in the URL of a WebSocket
  return url;
}
