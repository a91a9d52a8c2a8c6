// Made by `python -m asgi_realtime types` from the gateway's declarations in Python: change them there.

/** Which bot of a service to load anew. */
export interface BotConfigUpdate {
  readonly serviceType: string;
  readonly botId: string;
}

/** Why something a client sent was refused. The message is for people, the code for programs. */
export interface Complaint {
  readonly code: string;
  readonly message: string;
}

/** What a client sends to replace its token. */
export interface NewToken {
  readonly token: string;
}

/** What an acknowledgement says when there is nothing else to say. */
export interface Success {
  readonly success: true;
}

/** What an acknowledgement says when the server refuses. */
export interface Rejection {
  readonly success: false;
  readonly code: string;
  readonly message: string;
}

/** What the server sends. */
export interface ServerToClientEvents {
  /** To the services of that type. */
  SYSTEM_BOT_CONFIG_UPDATE: (payload: BotConfigUpdate) => void;
  /** To the client whose event was refused, unless an acknowledgement says it. */
  error: (payload: Complaint) => void;
}

/** What a client sends. */
export interface ClientToServerEvents {
  /** Replace the token of a live connection by one of the same user (PROTOCOLS.md, "Additions"). */
  "auth/refresh": (payload: NewToken, acknowledge: (answer: Success | Rejection) => void) => void;
}
