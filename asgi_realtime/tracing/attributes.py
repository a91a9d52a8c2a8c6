"""The attributes of all spans. `docs/operations/tracing.md` has the same table, and a test compares them.

Names that begin with `messaging.` are those of OpenTelemetry's semantic conventions for messaging. These are not stable
yet. Names that begin with `realtime.` are this package's own.
"""

from __future__ import annotations

from typing import Final, Literal, NamedTuple, TypeAlias

Operation: TypeAlias = Literal["handle", "publish", "deliver", "command"]
"""What a span is about. The name of each span begins with it."""
OPERATIONS: Final[tuple[Operation, ...]] = ("handle", "publish", "deliver", "command")
_TYPES: Final = {"handle": "process", "publish": "send", "deliver": "process", "command": "send"}
_BROADCASTS: Final[tuple[Operation, ...]] = ("publish", "deliver")

SYSTEM_NAME: Final = "asgi_realtime"
OTHER: Final = "other"
"""The name of an event that has no handler. Clients choose such names."""


class Attribute(NamedTuple):
    """The declaration of one attribute."""

    name: str
    help: str
    """One or more sentences, in Markdown."""
    spans: tuple[Operation, ...] = OPERATIONS
    """The spans that have it."""


SYSTEM: Final = Attribute("messaging.system", f"`{SYSTEM_NAME}`")
OPERATION_NAME: Final = Attribute("messaging.operation.name", "the first word of the span's name")
OPERATION_TYPE: Final = Attribute("messaging.operation.type", "`process` for `handle` and `deliver`, otherwise `send`")
DESTINATION: Final = Attribute("messaging.destination.name", "as `realtime.gateway`")
GATEWAY: Final = Attribute(
    "realtime.gateway", "the namespace or path of the gateway. A command for all gateways does not have it"
)
EVENT: Final = Attribute(
    "realtime.event",
    f"the name of the event. A client's event that has no handler of its own, but is handled, is `{OTHER}`",
    ("handle", "publish", "deliver"),
)
TARGET: Final = Attribute("realtime.target", "`room`, `rooms`, `users` or `all`", _BROADCASTS)
ROOM: Final = Attribute("realtime.room", "the name of the room, if the target is one room", _BROADCASTS)
RECIPIENTS: Final = Attribute("realtime.recipients", "how many clients of this process get the broadcast", ("deliver",))
BODY_SIZE: Final = Attribute(
    "messaging.message.body.size", "bytes of the encoded payload, with its attachments", ("publish",)
)
MESSAGE_ID: Final = Attribute(
    "messaging.message.id", "the position of the broadcast in history. A volatile one has none", _BROADCASTS
)
COMMAND: Final = Attribute("realtime.command", "which command: `add`, `remove`, `disconnect`, …", ("command",))
ERROR_TYPE: Final = Attribute(
    "error.type",
    "how it failed, if it did: the code of a refusal, `DISCONNECT` if your code raised `Disconnect`, or the class of "
    "another exception",
)

ATTRIBUTES: Final = tuple([declared for declared in list(globals().values()) if isinstance(declared, Attribute)])
"""All of them."""


def common_attributes(operation: Operation, gateway: str | None) -> dict[str, str | int]:
    """The attributes that do not depend on a single event."""
    found: dict[str, str | int] = {
        SYSTEM.name: SYSTEM_NAME,
        OPERATION_NAME.name: operation,
        OPERATION_TYPE.name: _TYPES[operation],
    }
    if gateway is not None:
        found[DESTINATION.name] = found[GATEWAY.name] = gateway
    return found
