// Made by `python -m asgi_realtime types` from the gateway's declarations in Python: change them there.

/** A message as it is saved and delivered, with all defaults filled in. */
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

/** The message with this id was saved. */
export interface MessageAck {
  readonly id: string;
  readonly status: "success";
}

/** Why an event of the client was refused or failed. `messageId` is there if it was a message. */
export interface ErrorMessage {
  readonly message: string;
  readonly messageId?: string;
}

/** Why the connection is closed. */
export interface Kick {
  readonly reason: string;
}

/** A user asks another to be friends. `createTime` is in milliseconds since the epoch. */
export interface FriendRequest {
  readonly id: string;
  readonly fromId: string;
  readonly fromName: string;
  readonly createTime: number;
}

/** The user who accepted a friend request. */
export interface FriendAccepted {
  readonly friendId: string;
  readonly friendName: string;
}

/** A message that was revoked. Clients no longer show it. */
export interface MessageRevoked {
  readonly messageId: string;
  readonly fromId: string;
  readonly toId: string;
  readonly chatType: "group" | "single";
}

/** A user who is no longer in a group. */
export interface GroupMember {
  readonly groupId: string;
  readonly userId: string;
}

/** A group that was dissolved. */
export interface GroupDissolved {
  readonly groupId: string;
}

/** The new owner of a group. */
export interface GroupTransfer {
  readonly groupId: string;
  readonly newOwnerId: string;
}

/** A member who was muted in a group, or is no longer muted. */
export interface GroupMemberMute {
  readonly groupId: string;
  readonly targetUserId: string;
  readonly muted: boolean;
}

/** A user who was removed from a group. */
export interface GroupMemberKick {
  readonly groupId: string;
  readonly targetUserId: string;
}

/** The new announcement of a group. */
export interface GroupAnnouncement {
  readonly groupId: string;
  readonly announcement: string;
}

/** An invitation to a group. */
export interface GroupInvite {
  readonly groupId: string;
  readonly groupName: string;
  readonly inviterName: string;
}

/** The user that the client authenticated as. */
export interface Authenticated {
  readonly userId: string;
  readonly recovery?: RecoveryOffer;
}

/** What a client presents to recover after a loss, and whether it has just recovered. */
export interface RecoveryOffer {
  readonly id: string;
  readonly position: string;
  readonly recovered: boolean;
}

/** Why the client was refused. `code` is there if the host's refusal has a code of its own. */
export interface Unauthenticated {
  readonly message: string;
  readonly code?: string;
}

/**
 * What a client presents in `auth`. `recovery` is for the first one only. `false` declines
 * recovery.
 */
export interface Credentials {
  readonly recovery?: SessionReference | false;
  readonly token: string;
}

/**
 * What a client presents to recover: the `id` that it was told, and the position of the last event
 * it has got.
 */
export interface SessionReference {
  readonly id: string;
  readonly position: string;
}

/**
 * A message as a client sends it. The client chooses the id, and repeats the message with the same
 * id.
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

/** The chat that was read: the id of the other user, or of the group. */
export interface Read {
  readonly chatId: string;
}

/** What the server sends. `offset` is the position of a frame, for recovery. */
export type ServerFrame = { readonly offset?: string } & (
  /** To `toId` and the sender's other devices; the group except the sending connection. */
  | { readonly type: "message"; readonly data: ChatMessage }
  /** To the sender, once the message is saved. */
  | { readonly type: "ack"; readonly data: MessageAck }
  /** To the client concerned. */
  | { readonly type: "error"; readonly data: ErrorMessage }
  /** To a connection that is then closed: its user logged in on another device, for example. */
  | { readonly type: "kick"; readonly data: Kick }
  /** To the receiver. */
  | { readonly type: "friend_request"; readonly data: FriendRequest }
  /** To the requester. */
  | { readonly type: "friend_accepted"; readonly data: FriendAccepted }
  /** To both sides, or the group. */
  | { readonly type: "message_revoked"; readonly data: MessageRevoked }
  /** To the remaining members of the group. */
  | { readonly type: "group_member_quit"; readonly data: GroupMember }
  /** To the group, which is then emptied. */
  | { readonly type: "group_dissolved"; readonly data: GroupDissolved }
  /** To the group. */
  | { readonly type: "group_transfer"; readonly data: GroupTransfer }
  /** To the group. */
  | { readonly type: "group_member_mute"; readonly data: GroupMemberMute }
  /** To the removed user only. */
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
  | { readonly type: "pong" }
);

/** What a client sends. */
export type ClientFrame =
  /** Authenticates, or replaces the token; answered with `auth_success`. */
  | { readonly type: "auth"; readonly data: Credentials }
  /** Answered with `pong`. */
  | { readonly type: "ping" }
  /** Check the message, let the host save it, deliver it, and acknowledge it with `ack`. */
  | { readonly type: "message"; readonly data: NewChatMessage }
  /** Let the host mark the chat as read. */
  | { readonly type: "read"; readonly data: Read };
