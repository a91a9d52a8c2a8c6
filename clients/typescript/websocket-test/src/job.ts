import type { JobError, JobStatus, StageCompleted } from "../../src/index.js";

/** The known state of a job. */
export interface Job {
  readonly status: string;
  readonly current: string | null;
  readonly completed: readonly string[];
  /** Every stage that an event has named, in order. */
  readonly seen: readonly string[];
  readonly error: JobError | undefined;
  readonly at: string;
}

export type StageState = "done" | "running" | "failed" | "to come";

export const NOTHING_KNOWN: Job = { status: "", current: null, completed: [], seen: [], error: undefined, at: "" };

export function updated(job: Job, { status, currentStage, completedStages, timestamp }: JobStatus): Job {
  return {
    ...job,
    status,
    current: currentStage,
    completed: completedStages,
    seen: union(job.seen, completedStages, [currentStage]),
    at: timestamp,
  };
}

export function progressed(job: Job, { stage, nextStage, timestamp }: StageCompleted): Job {
  return {
    ...job,
    current: nextStage,
    completed: union(job.completed, [stage]),
    seen: union(job.seen, [stage, nextStage]),
    at: timestamp,
  };
}

export function failed(job: Job, error: JobError): Job {
  return { ...job, error, seen: union(job.seen, [error.stage]), at: error.timestamp };
}

/** The stages in order: the planned ones, or those that events have named. */
export function stagesOf(plan: readonly string[], job: Job): readonly { name: string; state: StageState }[] {
  return union(plan, job.seen).map((name) => ({ name, state: stateOf(name, job) }));
}

function stateOf(name: string, { status, current, completed, error }: Job): StageState {
  if (completed.includes(name)) {
    return "done";
  }
  if (error?.stage === name || (status === "FAILED" && current === name)) {
    return "failed";
  }
  return current === name ? "running" : "to come";
}

function union(...lists: readonly (readonly (string | null)[])[]): readonly string[] {
  return [...new Set(lists.flat())].filter((name) => name !== null);
}
