// Made by `python -m asgi_realtime types` from the gateway's declarations in Python: change them there.

/** A message as it is saved and delivered: with every default filled in. */
export interface ChatMessage {
  readonly id: string;
  readonly fromId: string;
  readonly toId: string;
  readonly chatType: "group" | "single";
  readonly content: string;
  readonly timestamp: number;
  readonly contentType: "image" | "text";
  readonly replyTo: string;
  readonly imageUrl: string;
  readonly from_name?: string;
  readonly from_avatar?: string;
}

/** The message with this id has been saved. */
export interface MessageAck {
  readonly id: string;
  readonly status: "success";
}

/** What went wrong, for people; and with which message, where it was one. */
export interface ErrorMessage {
  readonly message: string;
  readonly messageId?: string;
}

/** Why the connection is closed. */
export interface Kick {
  readonly reason: string;
}

/** Somebody wants to be a friend. `create_time` is in milliseconds since the epoch. */
export interface FriendRequest {
  readonly id: string;
  readonly fromId: string;
  readonly fromName: string;
  readonly createTime: number;
}

/** Who has accepted. */
export interface FriendAccepted {
  readonly friendId: string;
  readonly friendName: string;
}

/** A message to be taken off the screen. */
export interface MessageRevoked {
  readonly messageId: string;
  readonly fromId: string;
  readonly toId: string;
  readonly chatType: "group" | "single";
}

/** Who is no longer in which group. */
export interface GroupMember {
  readonly groupId: string;
  readonly userId: string;
}

/** A group that is no more. */
export interface GroupDissolved {
  readonly groupId: string;
}

/** Whom the group belongs to now. */
export interface GroupTransfer {
  readonly groupId: string;
  readonly newOwnerId: string;
}

/** Who may no longer speak in the group, or may again. */
export interface GroupMemberMute {
  readonly groupId: string;
  readonly targetUserId: string;
  readonly muted: boolean;
}

/** Who was put out of the group. */
export interface GroupMemberKick {
  readonly groupId: string;
  readonly targetUserId: string;
}

/** What the group's board says now. */
export interface GroupAnnouncement {
  readonly groupId: string;
  readonly announcement: string;
}

/** Into which group somebody is invited, and by whom. */
export interface GroupInvite {
  readonly groupId: string;
  readonly groupName: string;
  readonly inviterName: string;
}

/** Whom the server takes the client for. */
export interface Authenticated {
  readonly userId: string;
}

/** Why the client is not let in. `code` is there where the host's refusal has one of its own. */
export interface Unauthenticated {
  readonly message: string;
  readonly code?: string;
}

/** The token that replaces a client's token. */
export interface NewToken {
  readonly token: string;
}

/**
 * A message as its sender's client sends it. The id is the client's own, and the same for every
 * repetition.
 */
export interface NewChatMessage {
  readonly id: string;
  readonly fromId: string;
  readonly toId: string;
  readonly chatType: "group" | "single";
  readonly content: string;
  readonly contentType?: "image" | "text";
  readonly replyTo?: string | null;
  readonly imageUrl?: string | null;
}

/** Which chat was read: the other user's id, or the group's. */
export interface Read {
  readonly chatId: string;
}

/** What the server sends. */
export type ServerFrame =
  /** To `toId` and the sender's other devices; the group but the sending connection. */
  | { readonly type: "message"; readonly data: ChatMessage }
  /** To the sender, once the message is saved. */
  | { readonly type: "ack"; readonly data: MessageAck }
  /** To the client concerned. */
  | { readonly type: "error"; readonly data: ErrorMessage }
  /** To a connection that is closed, because its user came in on another device, say. */
  | { readonly type: "kick"; readonly data: Kick }
  /** To the receiver. */
  | { readonly type: "friend_request"; readonly data: FriendRequest }
  /** To the requester. */
  | { readonly type: "friend_accepted"; readonly data: FriendAccepted }
  /** To both sides, or the group. */
  | { readonly type: "message_revoked"; readonly data: MessageRevoked }
  /** To those who remain in the group. */
  | { readonly type: "group_member_quit"; readonly data: GroupMember }
  /** To the group, which is then emptied. */
  | { readonly type: "group_dissolved"; readonly data: GroupDissolved }
  /** To the group. */
  | { readonly type: "group_transfer"; readonly data: GroupTransfer }
  /** To the group. */
  | { readonly type: "group_member_mute"; readonly data: GroupMemberMute }
  /** To the user put out only. */
  | { readonly type: "group_member_kick"; readonly data: GroupMemberKick }
  /** To the group. */
  | { readonly type: "group_announcement"; readonly data: GroupAnnouncement }
  /** To the invitee. */
  | { readonly type: "group_invite"; readonly data: GroupInvite }
  /** To the client that authenticated. */
  | { readonly type: "auth_success"; readonly data: Authenticated }
  /** To the client whose token is not valid, before it is closed with 1008. */
  | { readonly type: "auth_error"; readonly data: Unauthenticated }
  /** To the client that sent `ping`. */
  | { readonly type: "pong" };

/** What a client sends. */
export type ClientFrame =
  /** Answered with `pong`. */
  | { readonly type: "ping" }
  /**
   * A second `auth` frame replaces the token (PROTOCOLS.md, "Additions"). It must name the same
   * user.
   */
  | { readonly type: "auth"; readonly data: NewToken }
  /** Checked, saved by the host, delivered, and only then acknowledged with `ack`. */
  | { readonly type: "message"; readonly data: NewChatMessage }
  /** The host marks the chat as read. */
  | { readonly type: "read"; readonly data: Read };
