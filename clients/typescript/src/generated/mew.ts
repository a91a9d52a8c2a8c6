// Made by `python -m asgi_realtime types` from the gateway's declarations in Python: change them there.

/** Objects of the application. Extend this interface with their types. */
export interface HostTypes {
  Category: unknown;
  Channel: unknown;
  DMChannel: unknown;
  Message: unknown;
  Server: unknown;
  Sticker: unknown;
}

/** A channel was deleted. */
export interface ChannelDelete {
  readonly channelId: string;
  readonly serverId: string;
}

/** A category was deleted. Its channels remain. */
export interface CategoryDelete {
  readonly categoryId: string;
}

/** A sticker was deleted. */
export interface StickerDelete {
  readonly stickerId: string;
}

/** A server that was deleted, or that the user was removed from. */
export interface ServerReference {
  readonly serverId: string;
}

/** A user who joined or left a server. */
export interface ServerMember {
  readonly serverId: string;
  readonly userId: string;
}

/**
 * Roles, members' roles or a channel's overrides changed. Clients fetch again what they may see.
 */
export interface PermissionsUpdate {
  readonly serverId: string;
  readonly channelId?: string;
  readonly userId?: string;
}

/** A user came online, or the last connection ended and the grace period passed. */
export interface PresenceUpdate {
  readonly userId: string;
  readonly status: "offline" | "online";
}

/**
 * Why an event of the client was refused or failed. There is no code if a message could not be
 * created.
 */
export interface ErrorMessage {
  readonly message: string;
  readonly code?: string;
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

/**
 * What a client sends with `message/create`. Only the types are checked; the service checks the
 * rest.
 */
export interface MessageCreate {
  readonly channelId: string;
  readonly content?: string | null;
  readonly attachments?: readonly unknown[] | null;
  readonly referencedMessageId?: string | null;
  readonly type?: string | null;
  readonly payload?: { readonly [name: string]: unknown } | null;
  readonly plainText?: string | null;
}

/**
 * What a client sends with `channel/follow`. The position is that of its snapshot of the channel's
 * messages.
 */
export interface ChannelFollow {
  readonly channelId: string;
  readonly position: string;
}

/** What the server sends. */
export interface ServerToClientEvents<Host extends HostTypes = HostTypes> {
  /** To the channel's room; in a DM its recipients' personal rooms instead. */
  MESSAGE_CREATE: (payload: Host["Message"]) => void;
  /** To the channel's room; in a DM its recipients' personal rooms instead. */
  MESSAGE_UPDATE: (payload: Host["Message"]) => void;
  /** To the channel's room; in a DM its recipients' personal rooms instead. */
  MESSAGE_REACTION_ADD: (payload: Host["Message"]) => void;
  /** To the channel's room; in a DM its recipients' personal rooms instead. */
  MESSAGE_REACTION_REMOVE: (payload: Host["Message"]) => void;
  /** To the server's room. */
  CHANNEL_UPDATE: (payload: Host["Channel"]) => void;
  /** To the server's room. */
  CHANNEL_DELETE: (payload: ChannelDelete) => void;
  /** To the server's room. */
  CATEGORY_UPDATE: (payload: Host["Category"]) => void;
  /** To the server's room. */
  CATEGORY_DELETE: (payload: CategoryDelete) => void;
  /** To the server's room. */
  STICKER_CREATE: (payload: Host["Sticker"]) => void;
  /** To the server's room. */
  STICKER_UPDATE: (payload: Host["Sticker"]) => void;
  /** To the server's room. */
  STICKER_DELETE: (payload: StickerDelete) => void;
  /** To the personal rooms of those concerned. */
  DM_CHANNEL_CREATE: (payload: Host["DMChannel"]) => void;
  /** To the server's room. */
  SERVER_UPDATE: (payload: Host["Server"]) => void;
  /** To the server's room. */
  SERVER_DELETE: (payload: ServerReference) => void;
  /** To the personal room of the kicked user only. */
  SERVER_KICK: (payload: ServerReference) => void;
  /** To the server's room. */
  MEMBER_JOIN: (payload: ServerMember) => void;
  /** To those who remain in the server's room. */
  MEMBER_LEAVE: (payload: ServerMember) => void;
  /** To the server's room, or the personal room of the one user it concerns. */
  PERMISSIONS_UPDATE: (payload: PermissionsUpdate) => void;
  /** To the new socket. */
  PRESENCE_INITIAL_STATE: (payload: readonly string[]) => void;
  /** To all other users. */
  PRESENCE_UPDATE: (payload: PresenceUpdate) => void;
  /** To the new socket. */
  ready: () => void;
  /** To the socket concerned. */
  error: (payload: ErrorMessage) => void;
}

/** What a client sends. */
export interface ClientToServerEvents {
  /** Replace the token of a live connection. The new token must be of the same user. */
  "auth/refresh": (payload: NewToken, acknowledge: (answer: Success | Failure) => void) => void;
  /** Pass the message to the host. The result arrives as `MESSAGE_CREATE`. */
  "message/create": (payload: MessageCreate) => void;
  /** Send the events of a server's channel after the position, before later ones. */
  "channel/follow": (payload: ChannelFollow, acknowledge: (answer: Success | Failure) => void) => void;
}
