"""Questions about all processes of an application: who is online, who is connected where."""

from __future__ import annotations

from asgi_realtime.broadcasting.gateway_registry import GatewayRegistry
from asgi_realtime.broadcasting.publisher import Publisher
from asgi_realtime.broadcasting.route_parameters import NoSchema
from asgi_realtime.errors import ConfigurationError
from asgi_realtime.limits import room_text
from asgi_realtime.presence.base import Presence
from asgi_realtime.runtime.loop_bridge import LoopBridge
from asgi_realtime.values.ids import GatewayName, Id, RoomName, UserId, id_text
from asgi_realtime.values.publications import Position
from asgi_realtime.values.questions import Answer, ConnectionsOf, Node, NodeStatus, RoomSize, UserConnection


class ClusterQuestions(NoSchema):
    """The questions of a `Broadcaster`. Each method raises `ConfigurationError` for an unknown gateway."""

    def __init__(
        self,
        *,
        publisher: Publisher,
        presence: Presence,
        gateways: GatewayRegistry,
        loop_bridge: LoopBridge,
        gateway: GatewayName | None = None,
    ) -> None:
        self._publisher = publisher
        self._presence = presence
        self._gateways = gateways
        self._loop_bridge = loop_bridge
        self._gateway = gateway

    @property
    def gateway(self) -> str | None:
        """The gateway it is narrowed to: the first one mounted, or the one that `of` named. None: there is none."""
        return self._gateway

    async def online_users(self, *, gateway: str | None = None) -> set[str]:
        """The users who are online, on every process.

        Raises:
            BrokerUnavailable: they are not known.
        """
        return set(await self._publisher.answer(self._presence.online(self._named(gateway))))

    async def is_online(self, user_id: Id, *, gateway: str | None = None) -> bool:
        """Whether a user is online, on any process.

        Raises:
            BrokerUnavailable: it is not known.
        """
        return await self._publisher.answer(self._presence.is_online(self._named(gateway), user(user_id)))

    async def connections(self, user_id: Id, *, gateway: str | None = None) -> Answer[list[UserConnection]]:
        """The connections of a user, on every process.

        The processes are asked, and answer within `MEW_PUBLISH_TIMEOUT`. If one does not, or if it has more than 1000
        connections of the user, `complete` is False.

        Raises:
            BrokerUnavailable: Redis did not answer.
        """
        answers = await self._publisher.ask(ConnectionsOf(self._named(gateway), user(user_id)))
        found = [UserConnection(id, node) for node, answer in answers.by_node.items() for id in answer.connections]
        return Answer(found, answers.complete, answers.missing)

    async def room_size(self, room: Id, *, gateway: str | None = None) -> Answer[int]:
        """How many connections are in a room, on every process. See `connections`."""
        name = self._named(gateway)
        answers = await self._publisher.ask(RoomSize(name, self._room(room, name)))
        return Answer(sum(answer.members for answer in answers.by_node.values()), answers.complete, answers.missing)

    async def nodes(self) -> Answer[list[Node]]:
        """The processes of the app that serve clients, with the number of their connections. See `connections`."""
        answers = await self._publisher.ask(NodeStatus())
        nodes = [
            Node(id, {str(name): number for name, number in answer.gateways.items()})
            for id, answer in sorted(answers.by_node.items())
        ]
        return Answer(nodes, answers.complete, answers.missing)

    async def position(self, room: Id, *, gateway: str | None = None) -> Position:
        """The newest place in the history that a room belongs to: all rooms of a gateway share one.

        Get it before you read a snapshot from your database. Every broadcast after this place may be missing in
        the snapshot, and none before it is, if your app saves first and broadcasts then.

        Raises:
            BrokerUnavailable: the broker did not answer within `MEW_PUBLISH_TIMEOUT`.
        """
        name = self._named(gateway)
        self._room(room, name)
        return await self._publisher.position(name)

    def _named(self, gateway: str | None) -> GatewayName:
        name = self._gateway
        if gateway is not None:
            name = GatewayName("" if gateway == "" else id_text(gateway, "gateway"))
        if name is None or name not in self._gateways:
            mounted = ", ".join(self._gateways) or "none"
            raise ConfigurationError(
                f"no gateway {name!r} is mounted (there are: {mounted}); see RealtimeMiddleware(gateways=)"
            )
        return name

    def _room(self, room: Id, gateway: GatewayName, argument: str = "room") -> RoomName:
        return RoomName(room_text(room, self._gateways[gateway].limits, argument))


def user(user_id: Id) -> UserId:
    """The id of a user as text."""
    return UserId(id_text(user_id, "user_id"))
