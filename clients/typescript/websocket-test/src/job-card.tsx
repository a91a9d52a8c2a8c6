import { useState, type ReactElement } from "react";

import type { WebSocketClient } from "../../src/index.js";
import { useWebSocket } from "../../src/react.js";
import { NOTHING_KNOWN, failed, progressed, stagesOf, updated } from "./job.js";
import { clock } from "./timeline.js";

interface Props {
  readonly client: WebSocketClient;
  readonly jobId: string;
  /** The stages, if this page started the job. */
  readonly plan: readonly string[];
  readonly onLeave: () => void;
}

/** A followed job, as the server reports it. */
export function JobCard({ client, jobId, plan, onLeave }: Props): ReactElement {
  const [job, setJob] = useState(NOTHING_KNOWN);
  useWebSocket({
    client,
    jobId,
    onJobStatusUpdate: (status) => {
      setJob((before) => updated(before, status));
    },
    onStageCompleted: (stage) => {
      setJob((before) => progressed(before, stage));
    },
    onJobError: (error) => {
      setJob((before) => failed(before, error));
    },
  });
  const stages = stagesOf(plan, job);
  return (
    <li className="job" data-job={jobId} data-state={job.status.toLowerCase()}>
      <div className="job-head">
        <code title={jobId}>{jobId}</code>
        <span className="badge">{job.status === "" ? "waiting for news" : job.status}</span>
        <button className="quiet small" onClick={onLeave} aria-label={`Leave ${jobId}`}>
          Leave
        </button>
      </div>
      {stages.length > 0 && (
        <ol className="stages">
          {stages.map(({ name, state }) => (
            <li key={name} data-state={state}>
              <i aria-hidden="true" />
              <span>{name}</span>
              <span className="hidden">{state}</span>
            </li>
          ))}
        </ol>
      )}
      {job.error !== undefined && (
        <p className="problem" role="alert">
          {job.error.stage === null ? "" : `${job.error.stage}: `}
          {job.error.error}
        </p>
      )}
      {job.at !== "" && <time dateTime={job.at}>last update at {clock(new Date(job.at))}</time>}
    </li>
  );
}
