import type { ErrorMessage } from "./generated/jobs.js";

/**
 * The cause of an error: a code of the server, or one of these codes of the client.
 *
 * - `CONNECTION_FAILED`: an attempt to connect failed. Another one may follow.
 * - `GAVE_UP`: the last attempt failed. `connect()` starts again.
 * - `INVALID_FRAME`: the server sent something that is not a frame. It is ignored.
 */
export type ErrorCode = ErrorMessage["code"] | "CONNECTION_FAILED" | "GAVE_UP" | "INVALID_FRAME";

/** The argument of `error` listeners. The message is for people, the code for programs. */
export class WebSocketError extends Error {
  override readonly name = "WebSocketError";
  readonly code: ErrorCode;

  constructor(code: ErrorCode, message: string) {
    super(message);
    this.code = code;
  }
}
