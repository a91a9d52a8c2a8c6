import { useState, type ReactElement } from "react";

import { STAGES, startJob, type StartedJob } from "./session.js";

/** Start a job of the example, or join a job by its id. */
export function JobForms({ onFollow }: { readonly onFollow: (job: StartedJob) => void }): ReactElement {
  const [failure, setFailure] = useState("");
  const [starting, setStarting] = useState(false);

  async function start(form: FormData): Promise<void> {
    setFailure("");
    setStarting(true);
    const failAt = text(form, "failAt");
    try {
      onFollow(await startJob({ stageSeconds: Number(text(form, "seconds")), ...(failAt !== "" && { failAt }) }));
    } catch (error) {
      setFailure(error instanceof Error ? error.message : String(error));
    } finally {
      setStarting(false);
    }
  }

  return (
    <div className="forms">
      <form
        onSubmit={(event) => {
          event.preventDefault();
          void start(new FormData(event.currentTarget));
        }}
      >
        <h2>Start a job</h2>
        <div className="fields">
          <label>
            <span>Fails at</span>
            <select name="failAt">
              <option value="">no stage</option>
              {STAGES.map((stage) => (
                <option key={stage}>{stage}</option>
              ))}
            </select>
          </label>
          <label className="short">
            <span>Seconds a stage</span>
            <input name="seconds" type="number" min="0" max="60" step="0.1" defaultValue="1.5" required />
          </label>
          <button disabled={starting}>Start</button>
        </div>
        {failure !== "" && (
          <p className="problem" role="alert">
            {failure}
          </p>
        )}
      </form>
      <form
        onSubmit={(event) => {
          event.preventDefault();
          const jobId = text(new FormData(event.currentTarget), "jobId").trim();
          event.currentTarget.reset();
          onFollow({ jobId, stages: [] });
        }}
      >
        <h2>Join a job</h2>
        <div className="fields">
          <label>
            <span>Job id</span>
            <input name="jobId" required pattern=".*\S.*" maxLength={200} autoComplete="off" spellCheck={false} />
          </label>
          <button className="quiet">Join</button>
        </div>
      </form>
    </div>
  );
}

function text(form: FormData, name: string): string {
  const value = form.get(name);
  return typeof value === "string" ? value : "";
}
