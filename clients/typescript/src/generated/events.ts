// Made by `python -m asgi_realtime types` from the gateway's declarations in Python: change them there.

/** Who joined or left which room. */
export interface RoomMember {
  readonly userId: string;
  readonly room: string;
}

/** What somebody said. The timestamp is ISO 8601, in UTC. */
export interface Message {
  readonly senderId: string;
  readonly content: string;
  readonly timestamp: string;
}

/** Why something a client sent was refused. */
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

/** What an acknowledgement says when the server refuses. */
export interface Failure {
  readonly success: false;
  readonly message: string;
}

/** The room a client asks to join or leave. */
export interface RoomRequest {
  readonly room: string;
}

/** The client is in the room, or has left it, as it asked. */
export interface RoomReply {
  readonly success: true;
  readonly room: string;
}

/** What a client says: to a room it is in, or without one to everybody else. */
export interface NewMessage {
  readonly content: string;
  readonly room?: string | null;
}

/** What the server sends. */
export interface ServerToClientEvents {
  /** To the room's other members. */
  "user:joined": (payload: RoomMember) => void;
  /** To those who are still in the room. */
  "user:left": (payload: RoomMember) => void;
  /** To the room, the sender included; without a room everybody but the sender. */
  message: (payload: Message) => void;
  /** To the client whose event was refused, unless it waits for an acknowledgement. */
  error: (payload: ErrorMessage) => void;
}

/** What a client sends. */
export interface ClientToServerEvents {
  /** Replace the token of a live connection by one of the same user (PROTOCOLS.md, "Additions"). */
  "auth/refresh": (payload: NewToken, acknowledge: (answer: Success | Failure) => void) => void;
  /** Enter the room, if the host lets the user; its other members get `user:joined`. */
  join: (payload: RoomRequest, acknowledge: (answer: RoomReply | Failure) => void) => void;
  /** Leave the room; all who are in it get `user:left`. */
  leave: (payload: RoomRequest, acknowledge: (answer: RoomReply | Failure) => void) => void;
  /**
   * Say something to everybody in the room, which one must be in; without a room to everybody else.
   */
  message: (payload: NewMessage, acknowledge: (answer: Success | Failure) => void) => void;
}
