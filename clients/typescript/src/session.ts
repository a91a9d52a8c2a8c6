import type { RecoveryOffer, ServerFrame } from "./generated/jobs.js";

type SessionReference = Pick<RecoveryOffer, "id" | "position">;
/**
 * What is known of a job.
 *
 * - `joining`: the join was sent on this connection.
 * - `unconfirmed`: the join was sent on an earlier connection. The server may not have read it.
 * - `following`: an event has come.
 * - `leaving`: it was left, but the server may not have read that.
 */
type JobState = "joining" | "unconfirmed" | "following" | "leaving";

/** What a client keeps of its session on the server, to recover after a loss. It is lost with the page. */
export class Session {
  #reference: SessionReference | undefined;
  #recovered = false;
  readonly #jobs = new Map<string, JobState>();
  /** The jobs that were left before the last ping. */
  #leftBeforePing: readonly string[] = [];

  /** What the client presents when it returns. Nothing before the server has offered recovery. */
  get reference(): SessionReference | undefined {
    return this.#reference;
  }

  /** Whether the server has continued the session when the client connected last. */
  get recovered(): boolean {
    return this.#recovered;
  }

  /** The jobs that the server may still send events of. */
  get jobs(): readonly string[] {
    return [...this.#jobs.keys()];
  }

  /** The server has accepted the client. */
  begin(offer: RecoveryOffer | undefined): void {
    this.#recovered = offer?.recovered ?? false;
    this.#reference = offer && { id: offer.id, position: offer.position };
    this.#leftBeforePing = [];
    if (!this.#recovered) {
      this.#jobs.clear();
    }
    for (const [jobId, state] of this.#jobs) {
      if (state === "joining") this.#jobs.set(jobId, "unconfirmed");
    }
  }

  /** A frame has come, and nothing of the same connection before it is missing. */
  received(frame: ServerFrame): void {
    if (this.#reference !== undefined && frame.offset !== undefined) {
      this.#reference = { id: this.#reference.id, position: frame.offset };
    }
    if ("data" in frame && ["joining", "unconfirmed"].includes(this.#jobs.get(frame.data.jobId) ?? "")) {
      this.#jobs.set(frame.data.jobId, "following");
    }
    if (frame.type === "pong") {
      for (const jobId of this.#leftBeforePing.filter((each) => this.#jobs.get(each) === "leaving")) {
        this.#jobs.delete(jobId);
      }
    }
  }

  pinged(): void {
    this.#leftBeforePing = this.jobs.filter((each) => this.#jobs.get(each) === "leaving");
  }

  joined(jobId: string): void {
    this.#jobs.set(jobId, "joining");
  }

  left(jobId: string): void {
    this.#jobs.set(jobId, "leaving");
  }

  /** Whether the join was sent on this connection, or the server is known to have handled it. */
  isJoined(jobId: string): boolean {
    const state = this.#jobs.get(jobId);
    return state === "joining" || state === "following";
  }
}
