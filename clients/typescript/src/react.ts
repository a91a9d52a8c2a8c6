import { useCallback, useEffect, useRef, useState } from "react";

import { WebSocketClient, type WebSocketClientEvents, type WebSocketClientOptions } from "./client.js";
import type { WebSocketError } from "./errors.js";
import type { JobError, JobStatus, StageCompleted } from "./generated/jobs.js";

export interface UseWebSocketOptions extends Pick<WebSocketClientOptions, "url" | "token" | "WebSocket"> {
  /**
   * The job to follow. If it changes, the old job is left and the new one joined on the same connection.
   * Without a job, the hook only connects.
   */
  readonly jobId?: string | null | undefined;
  readonly onJobStatusUpdate?: ((status: JobStatus) => void) | undefined;
  readonly onStageCompleted?: ((stage: StageCompleted) => void) | undefined;
  readonly onJobError?: ((error: JobError) => void) | undefined;
  /** Called when the connection has opened or ended. */
  readonly onConnectionChange?: ((connected: boolean) => void) | undefined;
  /** Called each time the server has accepted the client, before missed events. See `WebSocketClient.recovered`. */
  readonly onConnected?: ((event: { readonly recovered: boolean }) => void) | undefined;
  readonly onError?: ((error: WebSocketError) => void) | undefined;
  /** A client shared by components, to follow many jobs on one connection. It stays connected when they unmount. */
  readonly client?: WebSocketClient | undefined;
}

export interface UseWebSocketResult {
  readonly connectionStatus: WebSocketClientEvents["status"]["status"];
  /** Attempts since the connection was lost, at most 5, 3000 ms apart. */
  readonly reconnectAttempts: number;
  /** Whether the last connection got the events that were missed before it. See `WebSocketClient.recovered`. */
  readonly recovered: boolean;
  /** Connect after `disconnect()`, or after the last attempt failed. Always the same function. */
  readonly connect: () => void;
  /** Close the connection until `connect()` is called. Always the same function. */
  readonly disconnect: () => void;
}

/**
 * Follow a job while the component is mounted.
 *
 * Connects when mounted. Callbacks may change with every render. A new `url`, `token` or
 * `WebSocket` makes a new connection. All functions count as the same `token`.
 */
export function useWebSocket(options: UseWebSocketOptions): UseWebSocketResult {
  const { jobId, url, token, WebSocket, client: shared } = options;
  const [state, setState] = useState<WebSocketClientEvents["status"]>({ status: "connecting", reconnectAttempts: 0 });
  const [recovered, setRecovered] = useState(false);
  const latest = useRef(options);
  const current = useRef<WebSocketClient>(undefined);
  const connected = useRef(false);

  // This effect is first, so that the effects below use the callbacks of this render.
  useEffect(() => {
    latest.current = options;
  });

  const href = url?.toString();
  const hasTokenFunction = typeof token === "function";
  const fixedToken = hasTokenFunction ? undefined : token;
  useEffect(() => {
    const client =
      shared ??
      new WebSocketClient({
        url: href,
        token: hasTokenFunction ? () => currentToken(latest.current) : fixedToken,
        WebSocket,
      });
    const update = (now: WebSocketClientEvents["status"]): void => {
      setState(now);
      setRecovered(client.recovered);
      if (connected.current !== (now.status === "connected")) {
        connected.current = !connected.current;
        latest.current.onConnectionChange?.(connected.current);
      }
    };
    // Events of other jobs arrive too: a client may be shared, and events may still arrive after a job was left.
    const isOwn = (event: { readonly jobId: string }): boolean => event.jobId === latest.current.jobId;
    const removers = [
      client.on("status", update),
      client.on("connected", (event) => latest.current.onConnected?.(event)),
      client.on("job_status", (status) => isOwn(status) && latest.current.onJobStatusUpdate?.(status)),
      client.on("stage_completed", (stage) => isOwn(stage) && latest.current.onStageCompleted?.(stage)),
      client.on("job_error", (error) => isOwn(error) && latest.current.onJobError?.(error)),
      client.on("error", (error) => latest.current.onError?.(error)),
    ];
    current.current = client;
    client.connect();
    update({ status: client.status, reconnectAttempts: client.reconnectAttempts });
    return () => {
      for (const remove of removers) {
        remove();
      }
      if (client !== shared) {
        client.disconnect();
      }
    };
  }, [shared, href, hasTokenFunction, fixedToken, WebSocket]);

  // After the client's effect, so that a new client also joins the job.
  useEffect(() => {
    const client = current.current;
    if (client === undefined || jobId === undefined || jobId === null || jobId === "") {
      return;
    }
    // The server sends the last status for the first join only, and another component may have joined the job.
    const last = client.statusOf(jobId);
    client.join(jobId);
    if (last !== undefined) {
      latest.current.onJobStatusUpdate?.(last);
    }
    return () => {
      client.leave(jobId);
    };
  }, [jobId, shared, href, hasTokenFunction, fixedToken, WebSocket]);

  const connect = useCallback(() => {
    current.current?.connect();
  }, []);
  const disconnect = useCallback(() => {
    current.current?.disconnect();
  }, []);
  return { connectionStatus: state.status, reconnectAttempts: state.reconnectAttempts, recovered, connect, disconnect };
}

async function currentToken({ token }: UseWebSocketOptions): Promise<string> {
  return typeof token === "function" ? token() : (token ?? "");
}
