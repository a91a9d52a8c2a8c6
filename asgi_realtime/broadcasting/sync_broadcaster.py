"""The broadcaster for threads: sync routes, Flask views, workers."""

from __future__ import annotations

from collections.abc import Coroutine, Iterable
from typing import TYPE_CHECKING, Any, TypedDict, TypeVar, Unpack

from msgspec import UNSET

from asgi_realtime.runtime.loop_bridge import LoopBridge
from asgi_realtime.values.ids import Id
from asgi_realtime.values.publications import Position, Receipt

if TYPE_CHECKING:
    from asgi_realtime.broadcasting.broadcaster import Broadcaster

T = TypeVar("T")


class Sending(TypedDict, total=False):
    """The options of a broadcast: see `Broadcaster.broadcast_to_room`."""

    gateway: str | None
    except_: Id | Iterable[Id] | None
    volatile: bool
    key: Id | None


class SyncBroadcaster:
    """`Broadcaster` for threads: each method waits until the event loop has done the work.

    Calls from the event loop's own thread would wait for themselves; they raise `RuntimeError`.
    """

    def __init__(self, broadcaster: Broadcaster, calls: LoopBridge) -> None:
        self._broadcaster = broadcaster
        self._calls = calls

    @property
    def sync(self) -> SyncBroadcaster:
        """Itself, so that a handler may be written for either class."""
        return self

    def of(self, gateway: str) -> SyncBroadcaster:
        """The same, narrowed to one gateway."""
        return SyncBroadcaster(self._broadcaster.of(gateway), self._calls)

    def broadcast_to_room(self, room: Id, event: str, data: Any = UNSET, **options: Unpack[Sending]) -> Receipt:
        """See `Broadcaster.broadcast_to_room`."""
        return self.run(self._broadcaster.broadcast_to_room(room, event, data, **options))

    def broadcast_to_user(self, user_id: Id, event: str, data: Any = UNSET, **options: Unpack[Sending]) -> Receipt:
        """See `Broadcaster.broadcast_to_user`."""
        return self.run(self._broadcaster.broadcast_to_user(user_id, event, data, **options))

    def broadcast_to_users(
        self, user_ids: Iterable[Id], event: str, data: Any = UNSET, **options: Unpack[Sending]
    ) -> Receipt:
        """See `Broadcaster.broadcast_to_users`."""
        return self.run(self._broadcaster.broadcast_to_users(user_ids, event, data, **options))

    def broadcast_to_all(self, event: str, data: Any = UNSET, **options: Unpack[Sending]) -> Receipt:
        """See `Broadcaster.broadcast_to_all`."""
        return self.run(self._broadcaster.broadcast_to_all(event, data, **options))

    def add_user_to_room(self, user_id: Id, room: Id, *, parent: Id | None = None, gateway: str | None = None) -> None:
        """See `Broadcaster.add_user_to_room`."""
        self.run(self._broadcaster.add_user_to_room(user_id, room, parent=parent, gateway=gateway))

    def remove_user_from_room(self, user_id: Id, room: Id, *, gateway: str | None = None) -> None:
        """See `Broadcaster.remove_user_from_room`."""
        self.run(self._broadcaster.remove_user_from_room(user_id, room, gateway=gateway))

    def close_room(self, room: Id, *, gateway: str | None = None) -> None:
        """See `Broadcaster.close_room`."""
        self.run(self._broadcaster.close_room(room, gateway=gateway))

    def refresh_rooms(self, user_id: Id, *, gateway: str | None = None) -> None:
        """See `Broadcaster.refresh_rooms`."""
        self.run(self._broadcaster.refresh_rooms(user_id, gateway=gateway))

    def refresh_members(self, room: Id, *, gateway: str | None = None) -> None:
        """See `Broadcaster.refresh_members`."""
        self.run(self._broadcaster.refresh_members(room, gateway=gateway))

    def disconnect_user(
        self, user_id: Id, *, code: int = 1008, reason: str = "disconnected", gateway: str | None = None
    ) -> None:
        """See `Broadcaster.disconnect_user`."""
        self.run(self._broadcaster.disconnect_user(user_id, code=code, reason=reason, gateway=gateway))

    def revoke_token(self, jti: Id) -> None:
        """See `Broadcaster.revoke_token`."""
        self.run(self._broadcaster.revoke_token(jti))

    def revoke_user(self, user_id: Id) -> None:
        """See `Broadcaster.revoke_user`."""
        self.run(self._broadcaster.revoke_user(user_id))

    def online_users(self, *, gateway: str | None = None) -> set[str]:
        """See `Broadcaster.online_users`."""
        return self.run(self._broadcaster.online_users(gateway=gateway))

    def is_online(self, user_id: Id, *, gateway: str | None = None) -> bool:
        """See `Broadcaster.is_online`."""
        return self.run(self._broadcaster.is_online(user_id, gateway=gateway))

    def position(self, room: Id, *, gateway: str | None = None) -> Position:
        """See `Broadcaster.position`."""
        return self.run(self._broadcaster.position(room, gateway=gateway))

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run any coroutine of a broadcaster (a typed face's, say) on its loop, and wait for the result.

        Raises:
            RuntimeError: from the event loop's own thread, before start-up, or after shutdown.
        """
        return self._calls.run(work)
