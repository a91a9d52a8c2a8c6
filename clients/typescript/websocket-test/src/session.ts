import { WebSocketClient } from "../../src/index.js";

let token = "demo-token";

/** The page's only connection. The token is read before each attempt. */
export const client = new WebSocketClient({ token: () => token });

export function setToken(value: string): void {
  token = value;
}

/** The example's REST routes. */
export interface NewJob {
  readonly failAt?: string;
  readonly stageSeconds: number;
}

export interface StartedJob {
  readonly jobId: string;
  readonly stages: readonly string[];
}

/** The stages of the example's jobs. */
export const STAGES = ["PLAN", "OUTLINE", "STORYBOARD", "RENDER"] as const;

export async function startJob(job: NewJob): Promise<StartedJob> {
  const response = await fetch("/jobs", {
    method: "POST",
    headers: { "content-type": "application/json", authorization: `Bearer ${token}` },
    body: JSON.stringify(job),
    signal: AbortSignal.timeout(10_000),
  });
  if (!response.ok) {
    const { message } = (await response.json().catch(() => ({}))) as { message?: string };
    throw new Error(message ?? `The server answered ${response.status}`);
  }
  return (await response.json()) as StartedJob;
}
