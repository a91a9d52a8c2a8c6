import { useState, type ReactElement } from "react";

import type { ConnectionStatus, WebSocketClient, WebSocketError } from "../../src/index.js";
import { useWebSocket } from "../../src/react.js";
import { setToken } from "./session.js";

const ATTEMPTS = [1, 2, 3, 4, 5] as const;

const WORDS: Readonly<Record<ConnectionStatus, string>> = {
  connecting: "Connecting",
  connected: "Connected",
  disconnected: "Disconnected",
  error: "Error",
};

/** The head of the page: the token, the state of the connection, and the attempts to reconnect. */
export function ConnectionPanel({ client }: { readonly client: WebSocketClient }): ReactElement {
  const [problem, setProblem] = useState<WebSocketError>();
  const { connectionStatus, reconnectAttempts, connect, disconnect } = useWebSocket({
    client,
    onError: setProblem,
    onConnectionChange: () => {
      setProblem(undefined);
    },
  });
  const idle = connectionStatus === "error" || (connectionStatus === "disconnected" && reconnectAttempts === 0);
  const waiting = connectionStatus === "disconnected" && reconnectAttempts > 0;
  return (
    <>
      <header>
        <div className="brand">
          <svg viewBox="0 0 32 32" aria-hidden="true">
            <path d="M4 17h6l3.5-9 5 16 3.5-7h6" />
          </svg>
          <h1>WebSocket test</h1>
        </div>
        <form
          className="session"
          onSubmit={(event) => {
            event.preventDefault();
            setProblem(undefined);
            connect();
          }}
        >
          <label>
            <span>Token</span>
            <input
              name="token"
              defaultValue="demo-token"
              autoComplete="off"
              spellCheck={false}
              onChange={(event) => {
                setToken(event.target.value);
              }}
            />
          </label>
          {idle || waiting ? <button type="submit">{waiting ? "Connect now" : "Connect"}</button> : null}
          {idle ? null : (
            <button type="button" className="quiet" onClick={disconnect}>
              {connectionStatus === "connected" ? "Disconnect" : "Stop trying"}
            </button>
          )}
        </form>
        <div className="state" data-status={connectionStatus}>
          <strong role="status">{WORDS[connectionStatus]}</strong>
          <span className="attempts" aria-label={`Reconnection attempts: ${reconnectAttempts} of 5`} role="img">
            {ATTEMPTS.map((attempt) => (
              <i key={attempt} className={attempt <= reconnectAttempts ? "used" : ""} />
            ))}
          </span>
          {waiting && <span className="countdown" key={reconnectAttempts} aria-hidden="true" />}
        </div>
      </header>
      {problem !== undefined && (
        <p className="problem below-head" role="alert">
          <code>{problem.code}</code>
          <span>{problem.message}</span>
          <button
            className="small"
            onClick={() => {
              setProblem(undefined);
            }}
          >
            Dismiss
          </button>
        </p>
      )}
    </>
  );
}
