"""Redis Cluster: which server owns the slot of a key."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TypeAlias

from redis.crc import key_slot
from redis.exceptions import ResponseError

from asgi_realtime.errors import ConfigurationError
from asgi_realtime.redis.discovery import ask_in_turn
from asgi_realtime.redis.endpoint import Endpoint
from asgi_realtime.redis.link import LinkLost

Address: TypeAlias = tuple[str, int]
ServerReply: TypeAlias = Sequence[object]


class ClusterNodes:
    """Finds the owner of a slot.

    Args:
        seeds: some servers of the cluster. They return the others.
        remap: returns where to connect to, for an address that the servers return.
    """

    sharded = True

    def __init__(self, seeds: Sequence[Endpoint], *, remap: Callable[[Address], Address] | None = None) -> None:
        self._seeds = list(seeds)
        self._remap = remap
        self._known: list[Endpoint] = []

    def __repr__(self) -> str:
        return f"the cluster of {', '.join(map(str, self._seeds))}"

    async def find(self, key: str) -> Endpoint:
        """The owner of the key's slot; see `Discovery.find`."""
        # Each attempt begins with another server, in case one has not seen a failover yet.
        if self._known:
            self._known.append(self._known.pop(0))
        self._seeds.append(self._seeds.pop(0))
        try:
            asked, reply = await ask_in_turn([*self._known, *self._seeds], "CLUSTER", "SLOTS", usable=bool)
        except ResponseError as error:
            if "cluster support disabled" in str(error):
                raise ConfigurationError(
                    "this Redis is not part of a cluster; write redis:// instead of redis+cluster://, or pass a Redis"
                ) from error
            raise LinkLost(f"{self!r} does not return which server has a slot: {error}") from error
        self._known = [self._at(address, asked) for address in dict.fromkeys(_addresses(reply, asked))]
        slot = key_slot(key.encode())
        for start, end, master, *_ in reply:
            if start <= slot <= end:
                return self._at(_address(master, asked), asked)
        raise LinkLost(f"no server of {self!r} has slot {slot}")

    def _at(self, address: Address, asked: Endpoint) -> Endpoint:
        return asked.at(*(address if self._remap is None else self._remap(address)))


def _addresses(reply: Iterable[Sequence[ServerReply]], asked: Endpoint) -> Iterator[Address]:
    for _, _, *servers in reply:
        for server in servers:
            yield _address(server, asked)


def _address(server: ServerReply, asked: Endpoint) -> Address:
    host, port = server[0], server[1]
    assert isinstance(port, int)
    # A server without an address of its own leaves it empty: it is where the question was answered.
    return (host.decode() if isinstance(host, bytes) and host not in (b"", b"?") else asked.host), port
