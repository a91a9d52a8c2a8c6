"""Limits how often a wrong secret may be tried: from one address, and from all together."""

from __future__ import annotations

from collections import OrderedDict
from typing import Final, NamedTuple


class Allowance(NamedTuple):
    """A token bucket: `burst` attempts at once, then one more each `interval` seconds."""

    burst: int
    interval: float

    def wait(self, refilled_at: float, now: float) -> float:
        """Seconds until the next attempt. 0: it may be made now."""
        return max(0.0, refilled_at - now - (self.burst - 1) * self.interval)


OF_ADDRESS: Final = Allowance(burst=5, interval=12.0)
"""Wrong secrets from one address: 5 at once, then 5 a minute."""
OF_ALL: Final = Allowance(burst=50, interval=1.0)
"""Wrong secrets from all addresses: 50 at once, then 60 a minute."""
MOST_ADDRESSES: Final = 1_000
"""Addresses that are remembered. Over: the one that failed longest ago is forgotten. `OF_ALL` still counts it."""


class LoginThrottle:
    """Counts failed logins of this process. No I/O: callers pass the time, in monotonic seconds."""

    def __init__(self) -> None:
        self._all = 0.0
        self._addresses: OrderedDict[str, float] = OrderedDict()

    def __len__(self) -> int:
        """How many addresses are remembered."""
        return len(self._addresses)

    def wait(self, address: str, now: float) -> float:
        """Seconds until an address may try a secret. 0: now."""
        return max(OF_ALL.wait(self._all, now), OF_ADDRESS.wait(self._addresses.get(address, 0.0), now))

    def failed(self, address: str, now: float) -> None:
        """An address has tried a wrong secret."""
        self._all = max(self._all, now) + OF_ALL.interval
        self._addresses[address] = max(self._addresses.get(address, 0.0), now) + OF_ADDRESS.interval
        self._addresses.move_to_end(address)
        if len(self._addresses) > MOST_ADDRESSES:
            self._addresses.popitem(last=False)
