export {
  WebSocketClient,
  type ConnectionStatus,
  type WebSocketClientEvents,
  type WebSocketClientOptions,
} from "./client.js";
export { WebSocketError, type ErrorCode } from "./errors.js";
export type { ClientFrame, JobError, JobStatus, ServerFrame, StageCompleted } from "./generated/jobs.js";
export type { WebSocketConstructor, WebSocketLike } from "./link.js";
