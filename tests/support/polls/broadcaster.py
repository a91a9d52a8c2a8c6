"""The server events of Polls as methods."""

from __future__ import annotations

from asgi_realtime import Id, Receipt, SyncTypedBroadcaster, TypedBroadcaster, id_text, sync_too

from .events import PollReference, Result


class PollsBroadcaster(TypedBroadcaster):
    """One method per server event. Each goes to the clients that follow the poll."""

    @property
    def sync(self) -> SyncPollsBroadcaster:
        """The same methods for threads."""
        return SyncPollsBroadcaster(self)

    @sync_too
    async def result(self, poll_id: Id, votes: dict[str, int]) -> Receipt:
        """`poll:result`."""
        event = Result(id_text(poll_id, "poll_id"), votes)
        return await self._broadcaster.broadcast_to_room(event.poll_id, "poll:result", event)

    @sync_too
    async def closed(self, poll_id: Id) -> Receipt:
        """`poll:closed`. No client follows the poll afterwards."""
        event = PollReference(id_text(poll_id, "poll_id"))
        receipt = await self._broadcaster.broadcast_to_room(event.poll_id, "poll:closed", event)
        await self._broadcaster.close_room(event.poll_id)
        return receipt


class SyncPollsBroadcaster(SyncTypedBroadcaster, PollsBroadcaster):
    """`PollsBroadcaster` for threads."""
