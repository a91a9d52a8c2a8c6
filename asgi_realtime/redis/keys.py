"""The names of keys and channels in Redis. All begin with the prefix, so one access rule covers them."""

from __future__ import annotations

from typing import assert_never

from asgi_realtime.values.ids import GatewayName, UserId
from asgi_realtime.values.publications import Target, ToAll, ToRoom, ToRooms, ToUsers

SHARED = GatewayName("*")
"""Stands for all gateways: their commands and the leases of the nodes. No gateway has this name."""
COMMANDS = "c"
"""What the keys and the channel of a gateway's commands end with."""


class Keys:
    """The names of one gateway, or of `SHARED`.

    They have the gateway as hash tag, so that a Redis Cluster keeps them together: in one order, and within reach of
    one script.
    """

    __slots__ = ("_base", "gateway", "revoked_tokens", "revoked_users", "state")

    def __init__(self, prefix: str, gateway: GatewayName) -> None:
        self.gateway = gateway
        # Braces would end the hash tag. Percent signs are replaced too, so that no two gateways have the same names.
        tag = gateway.replace("%", "%25").replace("{", "%7B").replace("}", "%7D")
        self._base = f"{prefix}:{{{tag}}}:"
        self.state = self._base + "s"
        """A hash: the epoch, the number of the last publication or command, and that of the last command."""

        self.revoked_tokens = self._base + "x"
        """A sorted set, for `SHARED`: revoked tokens, by the time until which they are kept."""

        self.revoked_users = self._base + "y"
        """A sorted set, for `SHARED`: revoked users, by the time up to which their tokens are refused."""

    def last(self, suffix: str) -> str:
        """A string: the number of the last publication to a target."""
        return f"{self._base}l:{suffix}"

    def history(self, suffix: str) -> str:
        """A stream: the publications to a target."""
        return f"{self._base}h:{suffix}"

    def receipt(self, key: str) -> str:
        """A string: the position of the publication with an idempotency key."""
        return f"{self._base}i:{key}"

    def answers(self, user_id: UserId) -> str:
        """A hash: the answers to a user's events with ids, and the claims of those that are being handled."""
        return f"{self._base}a:{user_id}"

    def answered(self, user_id: UserId) -> str:
        """A sorted set: these events, and when they were claimed or answered, in microseconds of Redis' clock."""
        return f"{self._base}b:{user_id}"

    def session(self, digest: str) -> str:
        """A hash: the recovery session of a connection, by the digest of the id that its client presents."""
        return f"{self._base}r:{digest}"

    def progress(self, node: str) -> str:
        """A string: what a node has carried out, and what its clients have received. See `Progress`."""
        return f"{self._base}p:{node}"

    @property
    def connections(self) -> str:
        """A hash: the connections of each user at all nodes. The field "" is the epoch, which is lost with them."""
        return self._base + "u"

    @property
    def leaving(self) -> str:
        """A sorted set: users within their grace period, and when it ends, in microseconds of Redis' clock."""
        return self._base + "g"

    @property
    def announcing(self) -> str:
        """A sorted set: users who are being announced as offline, and until when others wait for that."""
        return self._base + "o"

    @property
    def taken(self) -> str:
        """A hash: users who are being announced as offline, and the node and call that took them."""
        return self._base + "t"

    def of_node(self, node: str) -> str:
        """A hash: the connections of each user at a node. Of `SHARED`, a set: the gateways that the node has used."""
        return f"{self._base}n:{node}"

    @property
    def nodes(self) -> str:
        """A sorted set: the nodes, and when the lease of each ends, in microseconds of Redis' clock."""
        return self._base + "nodes"

    @property
    def ended_nodes(self) -> str:
        """A sorted set: nodes that must be removed, and when the one that took it over must be done."""
        return self._base + "ended"

    def channel(self, suffix: str) -> str:
        """The channel that a target's publications are sent to."""
        return f"{self._base}{suffix}"


def suffixes(target: Target) -> list[str]:
    """What the keys and channels of a target end with: one for each of several rooms or users, otherwise one.

    The kinds begin with different letters, so a room's name never makes the key of something else.
    """
    match target:
        case ToRoom(room):
            return [f"r:{room}"]
        case ToRooms(rooms):
            return [f"r:{room}" for room in dict.fromkeys(rooms)]
        case ToUsers(user_ids):
            return [f"u:{user_id}" for user_id in dict.fromkeys(user_ids)]
        case ToAll():
            return ["a"]
        case _:
            assert_never(target)
