"""A gateway whose names and descriptions try to become a part of a page."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec

from asgi_realtime import SocketIOGateway, down

ATTACK = """"'></code><script>window.hacked = 1</script><img src=x onerror="window.hacked = 2">"""
FIELD = "'><img src=x onerror=alert(1)>"
"""The name of a field. msgspec permits no quotation marks in it."""


def _marked() -> type[msgspec.Struct]:
    one = Annotated[str, msgspec.Meta(description=ATTACK, title=ATTACK, examples=[ATTACK])]
    two = Annotated[str, msgspec.Meta(pattern="</code><script>`", description=f"`{ATTACK}`")]
    fields: list[tuple[str, Any] | tuple[str, Any, Any]] = [
        ("field", one),
        ("pattern", two, ATTACK),
        ("choice", Literal["</script>", "<b>"], "<b>"),
    ]
    return msgspec.defstruct("Marked", fields, rename={"field": FIELD}, namespace={"__doc__": ATTACK})


class HostileGateway(SocketIOGateway):
    events = (down(ATTACK, _marked(), to=ATTACK), down("javascript:alert(1)", to="</script>"))


HostileGateway.__doc__ = ATTACK
