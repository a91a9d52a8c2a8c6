"""Answers the broadcasters' questions about the connections of this process."""

from __future__ import annotations

from collections.abc import Mapping

from asgi_realtime.hub.mounts import Mount
from asgi_realtime.values.ids import GatewayName
from asgi_realtime.values.publications import ToRoom
from asgi_realtime.values.questions import MOST_CONNECTIONS, ConnectionsOf, NodeAnswer, NodeStatus, RoomSize


def answer(question: RoomSize | ConnectionsOf | NodeStatus, mounts: Mapping[GatewayName, Mount]) -> NodeAnswer:
    """The answer of this process."""
    if isinstance(question, NodeStatus):
        return NodeAnswer(gateways={name: len(mount.rooms) for name, mount in mounts.items()})
    mount = mounts.get(question.gateway)
    if mount is None:
        return NodeAnswer()
    if isinstance(question, RoomSize):
        return NodeAnswer(members=len(mount.rooms.recipients(ToRoom(question.room))))
    connections = [connection.id for connection in mount.rooms.of_user(question.user_id)]
    return NodeAnswer(connections=tuple(connections[:MOST_CONNECTIONS]), cut=len(connections) > MOST_CONNECTIONS)
