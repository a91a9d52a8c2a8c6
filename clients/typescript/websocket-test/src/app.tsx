import { useEffect, useState, type ReactElement } from "react";

import { ConnectionPanel } from "./connection-panel.js";
import { FramesPanel } from "./frames-panel.js";
import { JobCard } from "./job-card.js";
import { JobForms } from "./job-forms.js";
import { client, type StartedJob } from "./session.js";
import { Timeline } from "./timeline.js";

interface Followed {
  readonly jobId: string;
  readonly stages: readonly string[];
}

const timeline = new Timeline(client);

/** Jobs are kept in the URL, so that the page follows them again after a reload. */
function fromAddress(): readonly Followed[] {
  const ids = new URLSearchParams(location.hash.slice(1)).getAll("job");
  return [...new Set(ids)].map((jobId) => ({ jobId, stages: [] }));
}

export function App(): ReactElement {
  const [jobs, setJobs] = useState(fromAddress);
  useEffect(() => {
    const hash = new URLSearchParams(jobs.map(({ jobId }) => ["job", jobId])).toString();
    history.replaceState(null, "", hash === "" ? location.pathname : `#${hash}`);
  }, [jobs]);

  const follow = ({ jobId, stages }: StartedJob): void => {
    setJobs((before) => [{ jobId, stages }, ...before.filter((job) => job.jobId !== jobId)]);
  };
  return (
    <>
      <ConnectionPanel client={client} />
      <main>
        <section className="work" aria-label="Jobs">
          <JobForms onFollow={follow} />
          {jobs.length === 0 && (
            <p className="empty">No job is followed. Start one, or join one that another user started.</p>
          )}
          <ol className="jobs" aria-label="Followed jobs">
            {jobs.map(({ jobId, stages }) => (
              <JobCard
                key={jobId}
                client={client}
                jobId={jobId}
                plan={stages}
                onLeave={() => {
                  setJobs((before) => before.filter((job) => job.jobId !== jobId));
                }}
              />
            ))}
          </ol>
        </section>
        <FramesPanel timeline={timeline} />
      </main>
    </>
  );
}
