"""W3C's trace context: read from the headers of a request, and packed for other processes. No I/O.

What is not valid is ignored, as the recommendation says. Nothing is logged for it, because clients choose the headers.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final, NamedTuple

STATE_BYTES: Final = 512
"""Most bytes of the state that are passed on. Over: its last members are dropped."""
_HEADER_BYTES: Final = 512
_PACKED_IDS: Final = 25
"""Bytes of a packed context without its state: 16 of the trace's id, 8 of the span's, 1 of the flags."""
_PARENT: Final = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-[!-~]*)?", re.ASCII)
_VALUE: Final = r"[ -+\--<>-~]{0,255}[!-+\--<>-~]"
_MEMBER: Final = rf"(?:[a-z][a-z0-9_*/-]{{0,255}}|[a-z0-9][a-z0-9_*/-]{{0,240}}@[a-z][a-z0-9_*/-]{{0,13}})={_VALUE}"
_STATE: Final = re.compile(rf"{_MEMBER}(?:,{_MEMBER}){{0,31}}", re.ASCII)


class TraceContext(NamedTuple):
    """Identifies a span of any process."""

    trace_id: int
    """128 bits, not 0."""
    span_id: int
    """64 bits, not 0."""
    flags: int
    """8 bits. The lowest says that the trace is sampled."""
    state: str = ""
    """What tracing systems add, as in the header `tracestate`. At most `STATE_BYTES`."""


def from_headers(headers: Mapping[str, str]) -> TraceContext | None:
    """The context that `traceparent` and `tracestate` name. None: there is none that is valid.

    `headers` have lower-case names.
    """
    header = headers.get("traceparent")
    if header is None or len(header) > _HEADER_BYTES:
        return None
    found = _PARENT.fullmatch(header)
    if found is None:
        return None
    version, trace_id, span_id, flags, rest = found.groups()
    if version == "ff" or (version == "00" and rest is not None):
        return None
    return _checked(int(trace_id, 16), int(span_id, 16), int(flags, 16), headers.get("tracestate", ""))


def bounded_state(state: str) -> str:
    """A state without the last members that make it too long."""
    if len(state) <= STATE_BYTES:
        return state
    return state[: STATE_BYTES + 1].rpartition(",")[0]


def pack(context: TraceContext) -> bytes:
    """The bytes of a context, for `unpack`."""
    ids = context.trace_id.to_bytes(16, "big") + context.span_id.to_bytes(8, "big")
    return ids + bytes([context.flags]) + context.state.encode("ascii", "ignore")


def unpack(data: bytes) -> TraceContext | None:
    """The context of these bytes. None: they are none that is valid."""
    if not _PACKED_IDS <= len(data) <= _PACKED_IDS + STATE_BYTES:
        return None
    state = data[_PACKED_IDS:].decode("ascii", "replace")
    return _checked(int.from_bytes(data[:16], "big"), int.from_bytes(data[16:24], "big"), data[24], state)


def _checked(trace_id: int, span_id: int, flags: int, state: str) -> TraceContext | None:
    if not trace_id or not span_id:
        return None
    if state:
        state = ",".join([member.strip(" \t") for member in bounded_state(state).split(",")])
    return TraceContext(trace_id, span_id, flags, state if _STATE.fullmatch(state) else "")
