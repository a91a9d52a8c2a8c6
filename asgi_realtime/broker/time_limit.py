"""The time limit of calls to the broker and to presence."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any, TypeVar

from asgi_realtime.errors import BrokerUnavailable
from asgi_realtime.runtime.coroutines import run_with_timeout

T = TypeVar("T")


async def answer_in_time(seconds: float, call: Coroutine[Any, Any, T]) -> T:
    """Await a call to the broker or to presence. If it ends without waiting, no timer is made.

    Raises:
        BrokerUnavailable: it took longer than `seconds`, the value of `MEW_PUBLISH_TIMEOUT`, and was cancelled.
    """
    try:
        return await run_with_timeout(seconds, call)
    except TimeoutError:
        raise BrokerUnavailable(f"the broker did not answer within MEW_PUBLISH_TIMEOUT ({seconds} s)") from None
