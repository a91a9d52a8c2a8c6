import type { ErrorMessage } from "./generated/jobs.js";

/**
 * Why something went wrong: a code of the server's, or one of the client's own.
 *
 * - `CONNECTION_FAILED`: an attempt to connect came to nothing; another one may follow.
 * - `GAVE_UP`: the last attempt came to nothing. `connect()` starts anew.
 * - `INVALID_FRAME`: the server sent something that is no frame. It is ignored.
 */
export type ErrorCode = ErrorMessage["code"] | "CONNECTION_FAILED" | "GAVE_UP" | "INVALID_FRAME";

/** What `error` listeners get. The message is for people, the code for programs. */
export class WebSocketError extends Error {
  override readonly name = "WebSocketError";
  readonly code: ErrorCode;

  constructor(code: ErrorCode, message: string) {
    super(message);
    this.code = code;
  }
}
