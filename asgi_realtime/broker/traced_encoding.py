"""The bytes of publications that carry a trace context.

Such a publication is an array of eight elements, and not of seven. The eighth is the packed context. A process without
tracing ignores it. All other publications have the same bytes as without tracing.
"""

from __future__ import annotations

from typing import Final

import msgspec

from asgi_realtime.broker.encoding import Encoding, decode_publication, encode_publication
from asgi_realtime.tracing.trace_context import TraceContext, pack, unpack
from asgi_realtime.values.ids import GatewayName
from asgi_realtime.values.publications import Position, Publication, Target
from asgi_realtime.values.traced_publication import TracedPublication, traced

_SEVEN: Final = b"\x97"
"""How an array of seven elements begins in MessagePack."""
_EIGHT: Final = b"\x98"

_encoder = msgspec.msgpack.Encoder()


class _Trace(msgspec.Struct, array_like=True, frozen=True, gc=False):
    event: msgspec.Raw
    payload: msgspec.Raw
    attachments: msgspec.Raw
    except_: msgspec.Raw
    several: msgspec.Raw
    origin: msgspec.Raw
    reply_to: msgspec.Raw
    trace: bytes


_trace_decoder = msgspec.msgpack.Decoder(_Trace)


def encode_traced(publication: Publication, origin: str = "") -> bytes:
    """The bytes of a publication, with its trace context if it has one. See `encode_publication`."""
    data = encode_publication(publication, origin)
    if not isinstance(publication, TracedPublication):
        return data
    assert data[1:2] == _SEVEN
    return data[:1] + _EIGHT + data[2:] + _encoder.encode(pack(publication.trace))


def decode_traced(
    data: bytes, gateway: GatewayName, target: Target, position: Position | None, volatile: bool
) -> Publication:
    """The publication of these bytes, with its trace context if it has a valid one. See `decode_publication`."""
    publication = decode_publication(data, gateway, target, position, volatile)
    trace = _trace_in(data) if data[1:2] == _EIGHT else None
    return publication if trace is None else traced(publication, trace)


def _trace_in(data: bytes) -> TraceContext | None:
    try:
        return unpack(_trace_decoder.decode(memoryview(data)[1:]).trace)
    except msgspec.DecodeError:
        return None


TRACED: Final = Encoding(encode_traced, decode_traced)
"""Of a process that traces."""
