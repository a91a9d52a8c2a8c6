// Made by `python -m asgi_realtime types` from the gateway's declarations in Python: change them there.

/** A user who joined or left a room. */
export interface RoomMember {
  readonly userId: string;
  readonly room: string;
}

/** A message. The timestamp is ISO 8601, in UTC. */
export interface Message {
  readonly senderId: string;
  readonly content: string;
  readonly timestamp: string;
}

/** Why an event of the client was refused or failed. */
export interface ErrorMessage {
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
 * An acknowledgement: the event was refused or failed. `code` is there if a position cannot be
 * followed from.
 */
export interface Failure {
  readonly success: false;
  readonly message: string;
  readonly code?: "POSITION_LOST";
}

/**
 * The room that a client wants to join. With a position, it first gets the room's events since
 * then.
 */
export interface JoinRequest {
  readonly room: string;
  readonly position?: string | null;
}

/** An acknowledgement: the client joined the room, or left it. */
export interface RoomReply {
  readonly success: true;
  readonly room: string;
}

/** The room that a client wants to join or leave. */
export interface RoomRequest {
  readonly room: string;
}

/** A message that a client sends: to a room it is in, or without a room to all other clients. */
export interface NewMessage {
  readonly content: string;
  readonly room?: string | null;
}

/** What the server sends. */
export interface ServerToClientEvents {
  /** To the other members of the room. */
  "user:joined": (payload: RoomMember) => void;
  /** To the remaining members of the room. */
  "user:left": (payload: RoomMember) => void;
  /** To the room, the sender included; without a room all clients but the sender. */
  message: (payload: Message) => void;
  /** To the client whose event was refused, if it asked for no acknowledgement. */
  error: (payload: ErrorMessage) => void;
}

/** What a client sends. */
export interface ClientToServerEvents {
  /** Replace the token of a live connection. The new token must be of the same user. */
  "auth/refresh": (payload: NewToken, acknowledge: (answer: Success | Failure) => void) => void;
  /** Join the room, if `may_join` allows it. The other members get `user:joined`. */
  join: (payload: JoinRequest, acknowledge: (answer: RoomReply | Failure) => void) => void;
  /** Leave the room. The remaining members get `user:left`. */
  leave: (payload: RoomRequest, acknowledge: (answer: RoomReply | Failure) => void) => void;
  /** Send a message to a room that the client is in, or without a room to all other clients. */
  message: (payload: NewMessage, acknowledge: (answer: Success | Failure) => void) => void;
}
