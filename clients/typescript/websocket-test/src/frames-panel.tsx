import { useState, type ReactElement } from "react";

import { KEPT, clock, useTimeline, type Entry, type Kind, type Timeline } from "./timeline.js";

const MARKS: Readonly<Record<Kind, readonly [mark: string, word: string]>> = {
  in: ["↓", "received"],
  out: ["↑", "sent"],
  state: ["•", "connection"],
  problem: ["!", "problem"],
};

/** Received and sent frames with their times, and changes of the connection, newest first. */
export function FramesPanel({ timeline }: { readonly timeline: Timeline }): ReactElement {
  const entries = useTimeline(timeline);
  const [pings, setPings] = useState(false);
  const shown = pings ? entries : entries.filter(({ title }) => title !== "ping" && title !== "pong");
  return (
    <section className="frames" aria-label="Frames">
      <div className="frames-head">
        <h2>Frames</h2>
        <span className="count">{entries.length < KEPT ? entries.length : `last ${KEPT}`}</span>
        <label className="check">
          <input
            type="checkbox"
            checked={pings}
            onChange={(event) => {
              setPings(event.target.checked);
            }}
          />
          <span>Pings</span>
        </label>
        <button className="quiet small" onClick={timeline.clear}>
          Clear
        </button>
      </div>
      {shown.length === 0 && <p className="empty">Nothing yet.</p>}
      <ol>
        {shown.map((entry) => (
          <Line key={entry.id} entry={entry} />
        ))}
      </ol>
    </section>
  );
}

function Line({ entry }: { readonly entry: Entry }): ReactElement {
  const [mark, word] = MARKS[entry.kind];
  const failure = entry.kind === "problem" || entry.title === "error" || entry.title === "job_error";
  return (
    <li data-kind={failure && entry.kind !== "state" ? "problem" : entry.kind} data-title={entry.title}>
      <time dateTime={entry.at.toISOString()}>{clock(entry.at)}</time>
      <b title={word}>{mark}</b>
      <span className="title">{entry.title}</span>
      {entry.detail !== "" && (
        <details>
          <summary>{entry.detail.replaceAll(/\n\s*/g, " ")}</summary>
          <pre>{entry.detail}</pre>
        </details>
      )}
    </li>
  );
}
