// Made by `python -m asgi_realtime types` from the gateway's declarations in Python: change them there.

/** A bot of a service whose configuration changed. */
export interface BotConfigUpdate {
  readonly serviceType: string;
  readonly botId: string;
}

/**
 * Why an event of the client was refused or failed. `message` is for people, `code` for programs.
 */
export interface ErrorMessage {
  readonly code: string;
  readonly message: string;
}

/** The token that replaces a client's token. */
export interface NewToken {
  readonly token: string;
}

/** An acknowledgement: the event was handled. */
export interface Success {
  readonly success: true;
}

/**
 * An acknowledgement: the event was refused or failed. `message` is for people, `code` for
 * programs.
 */
export interface Failure {
  readonly success: false;
  readonly code: string;
  readonly message: string;
}

/** What the server sends. */
export interface ServerToClientEvents {
  /** To the services of that type. */
  SYSTEM_BOT_CONFIG_UPDATE: (payload: BotConfigUpdate) => void;
  /** To the client whose event was refused, unless an acknowledgement says it. */
  error: (payload: ErrorMessage) => void;
}

/** What a client sends. */
export interface ClientToServerEvents {
  /** Replace the token of a live connection. The new token must be of the same user. */
  "auth/refresh": (payload: NewToken, acknowledge: (answer: Success | Failure) => void) => void;
}
