"""The service of Chat: what the gateway calls on the host's database, and the refusals that it may raise."""

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

    `message` is delivered. It is the message given to `save_message`, in groups with `from_name` and `from_avatar`.
    For an id that was saved before, it is the message that was saved then. `owed` are the users who have not
    received it yet. None: all of them, as for a new message. Empty: the message is acknowledged and not delivered.
    """

    message: ChatMessage
    owed: Collection[Id] | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.message, ChatMessage):
            raise TypeError(f"SavedMessage.message must be a ChatMessage, not {type(self.message).__qualname__}")
        if self.owed is not None:
            msgspec.structs.force_setattr(self, "owed", ids_from_host(self.owed, "owed"))


class Delivery(msgspec.Struct, frozen=True):
    """A message that was written to a connection of a user."""

    user_id: str
    from_id: str
    message_id: str


class ChatService(Protocol):
    """What Chat calls on the host's database. A method is async, or plain: then it runs in a thread.

    Any method may raise `Blocked`, `Muted`, `NotAMember` or another `Refusal`. The client gets its message. Any
    other exception is logged, and the client gets a general error.
    """

    def groups_of(self, identity: Identity) -> MaybeAwaitable[Iterable[Id]]:
        """Return the ids of the user's groups, read from the database now."""

    def save_message(self, identity: Identity, message: ChatMessage) -> MaybeAwaitable[SavedMessage]:
        """Save a message and return the `SavedMessage`, or refuse it.

        Commit before returning. `from_id` and `id` together identify a message. If the pair was saved before, save
        nothing and return the saved message, without a check of permissions.
        """

    def mark_read(self, identity: Identity, chat_id: str) -> MaybeAwaitable[object]:
        """Mark a chat as read. `chat_id` is the other user or the group."""


class OfflineMessages(Protocol):
    """Two more methods of a service, for messages sent while a user was offline. Define both or neither."""

    def pending_messages(self, identity: Identity, limit: int) -> MaybeAwaitable[Iterable[ChatMessage]]:
        """Return the oldest messages that this user has not received yet, at most `limit`."""

    def messages_delivered(self, deliveries: Sequence[Delivery]) -> MaybeAwaitable[object]:
        """Save which messages were delivered to which users. They are no longer pending, nor owed."""


class Blocked(Refusal):
    """The receiver has blocked the sender."""

    code = "BLOCKED"

    def __init__(self, message: str = "对方已将你屏蔽") -> None:
        super().__init__(message)


class Muted(Refusal):
    """The sender is muted in the group."""

    code = "MUTED"

    def __init__(self, message: str = "你已被禁言") -> None:
        super().__init__(message)


class NotAMember(Refusal):
    """The sender is not in the group."""

    code = "NOT_A_MEMBER"

    def __init__(self, message: str = "你不是群成员") -> None:
        super().__init__(message)
