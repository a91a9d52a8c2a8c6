"""The server events of Polls as methods."""

from __future__ import annotations

from asgi_realtime import Receipt, SyncTypedBroadcaster, TypedBroadcaster, sync_too

from .events import PollReference, Result


class PollsBroadcaster(TypedBroadcaster):
    """One method per server event. Each goes to the clients that follow the poll."""

    @property
    def sync(self) -> SyncPollsBroadcaster:
        """The same methods for threads."""
        return SyncPollsBroadcaster(self)

    @sync_too
    async def result(self, poll_id: str, votes: dict[str, int]) -> Receipt:
        """`poll:result`."""
        return await self._broadcaster.broadcast_to_room(poll_id, "poll:result", Result(poll_id, votes))

    @sync_too
    async def closed(self, poll_id: str) -> Receipt:
        """`poll:closed`. No client follows the poll afterwards."""
        receipt = await self._broadcaster.broadcast_to_room(poll_id, "poll:closed", PollReference(poll_id))
        await self._broadcaster.close_room(poll_id)
        return receipt


class SyncPollsBroadcaster(SyncTypedBroadcaster, PollsBroadcaster):
    """`PollsBroadcaster` for threads."""
