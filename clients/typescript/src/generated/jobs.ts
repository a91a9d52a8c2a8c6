// Made by `python -m asgi_realtime types` from the gateway's declarations in Python: change them there.

/** The client is connected. It should send `ping` every `heartbeatInterval` milliseconds. */
export interface ConnectionEstablished {
  readonly clientId: string;
  readonly timestamp: string;
  readonly heartbeatInterval: number;
  readonly recovery?: RecoveryOffer;
}

/** What a client presents to recover after a loss, and whether it has just recovered. */
export interface RecoveryOffer {
  readonly id: string;
  readonly position: string;
  readonly recovered: boolean;
}

/** The status of a job. A `job_id` given as a number or a UUID becomes text. */
export interface JobStatus {
  readonly jobId: string;
  readonly status: string;
  readonly currentStage: string | null;
  readonly completedStages: readonly string[];
  readonly timestamp: string;
}

/** A stage of a job is completed. `nextStage` is null after the last stage. */
export interface StageCompleted {
  readonly jobId: string;
  readonly stage: string;
  readonly nextStage: string | null;
  readonly timestamp: string;
}

/** A job failed. `stage` is null if it failed outside of its stages. */
export interface JobError {
  readonly jobId: string;
  readonly error: string;
  readonly stage: string | null;
  readonly timestamp: string;
}

/** Why an event of the client was refused or failed, or why the connection is closed. */
export interface ErrorMessage {
  readonly message: string;
  readonly code: "FORBIDDEN" | "INTERNAL" | "INVALID_MESSAGE" | "RATE_LIMITED" | "TOO_LARGE" | "UNAUTHORIZED";
  readonly timestamp: string;
}

/** The answer to `ping`. */
export interface Pong {
  readonly timestamp: string;
}

/** A job. */
export interface JobReference {
  readonly jobId: string;
}

/** The token that replaces a client's token. */
export interface NewToken {
  readonly token: string;
}

/** What the server sends. `offset` is the position of a frame, for recovery. */
export type ServerFrame = { readonly offset?: string } & (
  /** To the new client. */
  | ({ readonly type: "connection_established" } & ConnectionEstablished)
  /** To the clients that joined the job; the last one also to a client that joins later. */
  | { readonly type: "job_status"; readonly data: JobStatus }
  /** To the clients that joined the job. */
  | { readonly type: "stage_completed"; readonly data: StageCompleted }
  /** To the clients that joined the job. */
  | { readonly type: "job_error"; readonly data: JobError }
  /** To the client concerned. */
  | ({ readonly type: "error" } & ErrorMessage)
  /** To the client that sent `ping`. */
  | ({ readonly type: "pong" } & Pong)
);

/** What a client sends. */
export type ClientFrame =
  /** Joins a job; its last known `job_status` follows at once. */
  | ({ readonly type: "join_job" } & JobReference)
  /** Leaves a job. */
  | ({ readonly type: "leave_job" } & JobReference)
  /** Answered with `pong`. */
  | { readonly type: "ping" }
  /** Replaces a JWT; answered with `connection_established`. */
  | ({ readonly type: "auth" } & NewToken);
