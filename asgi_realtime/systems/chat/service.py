"""What Chat asks of its host, and how the host says no."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import Protocol

import msgspec

from asgi_realtime.errors import Refusal
from asgi_realtime.runtime.host_calls import MaybeAwaitable
from asgi_realtime.systems.chat.events import ChatMessage
from asgi_realtime.values.identity import Identity
from asgi_realtime.values.ids import Id, ids_from_host


class SavedMessage(msgspec.Struct, frozen=True):
    """What the host has saved.

    `message` is what is delivered: what was handed in, in groups with `from_name` and `from_avatar`;
    for an id that was saved before, what was saved then. `owed` names those who have not got it yet:
    None is everybody, as for a new message; nobody means that it is acknowledged and nothing else.
    """

    message: ChatMessage
    owed: Collection[Id] | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.message, ChatMessage):
            raise TypeError(f"SavedMessage.message must be a ChatMessage, not {type(self.message).__qualname__}")
        if self.owed is not None:
            msgspec.structs.force_setattr(self, "owed", ids_from_host(self.owed, "owed"))


class Delivery(msgspec.Struct, frozen=True):
    """A message was written to a connection of a user."""

    user_id: str
    from_id: str
    message_id: str


class ChatService(Protocol):
    """What Chat asks of its host. Sync or async.

    Any method may raise `Blocked`, `Muted`, `NotAMember`, or another `Refusal` whose message the
    client is to read; whatever else is raised the client knows as a failure of ours.
    """

    def groups_of(self, identity: Identity) -> MaybeAwaitable[Iterable[Id]]:
        """Return the ids of the groups the user is a member of, as the database has it now."""

    def save_message(self, identity: Identity, message: ChatMessage) -> MaybeAwaitable[SavedMessage]:
        """Save a message and return the `SavedMessage`, or refuse it.

        Commit before returning. `from_id` and `id` together name a message: for a pair that is there
        already, save nothing and return what is there, before any question of who may write to whom.
        """

    def mark_read(self, identity: Identity, chat_id: str) -> MaybeAwaitable[object]:
        """The user has read a chat: with another user, or of a group."""


class OfflineMessages(Protocol):
    """What a service offers besides, to have messages handed over that came while nobody was there. Both or neither."""

    def pending_messages(self, identity: Identity, limit: int) -> MaybeAwaitable[Iterable[ChatMessage]]:
        """Return the oldest messages that this user has not got yet, as `ChatMessage`s: at most `limit`."""

    def messages_delivered(self, deliveries: Sequence[Delivery]) -> MaybeAwaitable[object]:
        """Remember who has got what: none of it is pending any more, nor owed."""


class Blocked(Refusal):
    """The receiver does not want to hear from the sender."""

    code = "BLOCKED"

    def __init__(self, message: str = "对方已将你屏蔽") -> None:
        super().__init__(message)


class Muted(Refusal):
    """The sender may not speak in the group now."""

    code = "MUTED"

    def __init__(self, message: str = "你已被禁言") -> None:
        super().__init__(message)


class NotAMember(Refusal):
    """The sender is not in the group."""

    code = "NOT_A_MEMBER"

    def __init__(self, message: str = "你不是群成员") -> None:
        super().__init__(message)
