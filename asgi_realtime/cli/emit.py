"""`asgi-realtime emit`: send one event to the clients of a running app."""

from __future__ import annotations

from typing import Any

import click
import msgspec
from msgspec import UNSET

from asgi_realtime.cli.examples import examples
from asgi_realtime.cli.gateways import gateway_named
from asgi_realtime.cli.reaching import console_option, running_app
from asgi_realtime.cli.running_app import run
from asgi_realtime.errors import ConfigurationError
from asgi_realtime.gateways.base import Gateway
from asgi_realtime.gateways.socketio_gateway import SocketIOGateway
from asgi_realtime.gateways.websocket_gateway import WebSocketGateway
from asgi_realtime.values.ids import RoomName, UserId
from asgi_realtime.values.publications import Receipt, Target, ToAll, ToRoom, ToUsers


@click.command(
    epilog=examples(
        """asgi-realtime emit --room lobby / news '{"text": "hello"}'""",
        "asgi-realtime emit --all --websocket /ws maintenance",
    )
)
@click.argument("gateway")
@click.argument("event")
@click.argument("json", required=False)
@click.option("--room", help="Send to the clients in this room.")
@click.option("--user", "users", multiple=True, help="Send to the clients of this user. May be repeated.")
@click.option("--all", "everybody", is_flag=True, help="Send to all clients of the gateway.")
@click.option("--websocket", is_flag=True, help="GATEWAY is the path of a JSON WebSocket.")
@click.option("--volatile", is_flag=True, help="Keep no history. Slow clients may miss the event.")
@click.option("--key", help="Send once, however often this is called with the same key.")
@console_option
@click.option("--json", "as_json", is_flag=True, help="Print the receipt as JSON.")
def emit(
    gateway: str,
    event: str,
    json: str | None,
    room: str | None,
    users: tuple[str, ...],
    everybody: bool,
    websocket: bool,
    volatile: bool,
    key: str | None,
    console: str | None,
    as_json: bool,
) -> None:
    """Send EVENT with the payload JSON to clients of a running app.

    GATEWAY is a Socket.IO namespace such as /, the path of a JSON WebSocket (with --websocket), or MODULE:GATEWAY.
    Without JSON the event has no payload. MEW_REDIS_URL and the other variables are those of the app.

    Exit codes: 0 sent, 1 refused, 2 wrong arguments, 75 Redis or the console did not answer.
    """
    if (room is not None) + bool(users) + everybody != 1:
        raise click.UsageError("name the recipients by one of --room, --user and --all")
    data = UNSET if json is None else _decode(json)
    named = _gateway(gateway, websocket)

    async def send() -> Receipt:
        async with running_app(console) as app:
            target: Target = ToAll()
            if room is not None:
                target = ToRoom(RoomName(room))
            elif users:
                target = ToUsers(tuple(map(UserId, users)))
            return await app.send(named, target, event, data, volatile=volatile, key=key)

    receipt = run(send())
    click.echo(msgspec.json.encode(receipt).decode() if as_json else _sentence(receipt))


def _sentence(receipt: Receipt) -> str:
    return "sent" if receipt.position is None else f"sent; the position in the history is {receipt.position}"


def _gateway(name: str, websocket: bool) -> Gateway:
    try:
        if name.startswith("/"):
            return WebSocketGateway(name) if websocket else SocketIOGateway(name)
    except ConfigurationError as error:
        raise click.BadParameter(str(error)) from None
    if ":" not in name:
        raise click.BadParameter(f"{name}: write a name that begins with a slash, such as /chat, or MODULE:GATEWAY")
    found = gateway_named(name)
    if isinstance(found, type):
        raise click.BadParameter(f"{name} is a class, which has no name or path; give an instance, or its name")
    return found


def _decode(text: str) -> Any:
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, ValueError, RecursionError) as error:  # no JSON, no UTF-8, or too deep
        raise click.BadParameter(f"{error}; a text needs quotes: '\"hello\"'", param_hint="'JSON'") from None
