"""Polls: the Socket.IO namespace `/polls`."""

from __future__ import annotations

from asgi_realtime import Connection, HostCall, SocketIOGateway, check_room_name, on

from .broadcaster import PollsBroadcaster
from .events import POLLS_EVENTS, PollReference, Result, Vote
from .service import PollsService


class PollsGateway(SocketIOGateway):
    """Clients follow polls and vote."""

    events = POLLS_EVENTS

    def __init__(self, namespace: str = "/polls", *, service: PollsService) -> None:
        super().__init__(namespace)
        self._count: HostCall = self.service_call(service, "count", "identity", "poll_id", "choice")

    @on("poll:follow")
    async def _on_follow(self, poll: PollReference, connection: Connection) -> None:
        """Follow a poll."""
        await connection.join(poll.poll_id)

    @on("poll:vote")
    async def _on_vote(self, vote: Vote, connection: Connection) -> Result:
        """Vote. Every client that follows the poll gets `poll:result`."""
        check_room_name(vote.poll_id, self.limits)
        votes: dict[str, int] = await self._count(connection.identity, vote.poll_id, vote.choice)
        await PollsBroadcaster(self.broadcaster).result(vote.poll_id, votes)
        return Result(vote.poll_id, votes)
