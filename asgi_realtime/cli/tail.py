"""`asgi-realtime tail`: see the events of a running app as they are broadcast."""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Callable, Iterable, Sequence

import click

from asgi_realtime.cli.examples import examples
from asgi_realtime.cli.reaching import console_option, running_app
from asgi_realtime.cli.running_app import RunningApp, run
from asgi_realtime.cli.standard_output import StandardOutput
from asgi_realtime.cli.tail_lines import TextLines, json_lines, target_name
from asgi_realtime.cli.tail_receiver import AT_ONCE, Entry, Seen, TailReceiver
from asgi_realtime.errors import PositionLost
from asgi_realtime.limits import room_text
from asgi_realtime.values.ids import RoomName, UserId, id_text
from asgi_realtime.values.publications import Position, Target, ToAll, ToRoom, ToUsers


@click.command(
    epilog=examples(
        "asgi-realtime tail --room lobby",
        "asgi-realtime tail --gateway /chat --user ann --event message --json | jq .data",
    )
)
@click.option("--room", "rooms", multiple=True, metavar="ROOM", help="Show events to this room. May be repeated.")
@click.option("--user", "users", multiple=True, metavar="USER", help="Show events to this user. May be repeated.")
@click.option("--all", "everybody", is_flag=True, help="Show events to all clients of the gateway.")
@click.option(
    "--gateway",
    "gateways",
    multiple=True,
    metavar="NAME",
    help="Of this gateway: its namespace or path. May be repeated. Default: of all.",
)
@click.option("--event", "events", multiple=True, metavar="NAME", help="Only events of this name. May be repeated.")
@click.option("--since", metavar="POSITION", help="Begin after this position, with the events that history has.")
@console_option
@click.option("--json", "as_json", is_flag=True, help="Print each event as one line of JSON, with its whole payload.")
def tail(
    rooms: tuple[str, ...],
    users: tuple[str, ...],
    everybody: bool,
    gateways: tuple[str, ...],
    events: tuple[str, ...],
    since: str | None,
    console: str | None,
    as_json: bool,
) -> None:
    """Show events as they are broadcast: the time (UTC), event, target and payload.

    Reads what the app publishes in Redis, and changes nothing. A line says so if events are missing. An event to
    several users or rooms is shown once. What a handler sends to one connection is not published, and not shown.
    MEW_REDIS_URL and the other variables are those of the app. Through a console, events come once a second, and
    volatile ones do not come.

    Exit codes: 0 ended by Ctrl-C or by the reader, 1 refused, 2 wrong usage, 75 Redis or the console did not answer.
    """
    if not (rooms or users or everybody):
        raise click.UsageError("say what to follow: --room, --user or --all")
    position = None if since is None else _position(since)
    if position is not None and len(gateways) != 1:
        raise click.UsageError("--since is a position of one gateway: name it with --gateway")
    with contextlib.suppress(KeyboardInterrupt):
        run(_tail(rooms, users, everybody, gateways, events, position, console, as_json))


def _position(text: str) -> Position:
    from asgi_realtime.broker.redis_history import parse  # here: other commands do not load the client of Redis

    try:
        parse(Position(text))
    except PositionLost:
        raise click.BadParameter(
            f"{text} is no position; `emit` and `tail --json` print positions", param_hint="'--since'"
        ) from None
    return Position(text)


async def _tail(
    rooms: Sequence[str],
    users: Sequence[str],
    everybody: bool,
    named: Sequence[str],
    events: Sequence[str],
    since: Position | None,
    console: str | None,
    as_json: bool,
) -> None:
    receiver = TailReceiver(events)
    async with running_app(console, receiver) as app:
        targets: list[Target] = [ToRoom(RoomName(room_text(room, app.limits))) for room in rooms]
        targets += [ToUsers((UserId(id_text(user, "user")),)) for user in users]
        if everybody:
            targets.append(ToAll())
        gateways = await app.gateways(named, may_be_down=True)
        await app.follow(gateways, targets)
        _show_log()
        names = ", ".join(map(target_name, targets))
        click.echo(f"events to {names} of {', '.join(gateways)}; Ctrl-C ends", err=True)
        lines: Callable[[Iterable[Entry]], str] = json_lines if as_json else TextLines(gateways=len(gateways) > 1).of
        with StandardOutput(closed=receiver.wake) as output:
            if since is not None:
                await _show_history(app, receiver, output, lines, gateways[0], targets, since)
            while not output.closed:
                new = await receiver.take()
                if new:
                    await output.write(lines(new))


async def _show_history(
    app: RunningApp,
    receiver: TailReceiver,
    output: StandardOutput,
    lines: Callable[[Iterable[Entry]], str],
    gateway: str,
    targets: Sequence[Target],
    since: Position,
) -> None:
    """Show what history has after a position. What was received too is not shown again."""
    try:
        found = await app.history(gateway, since, targets)
    except PositionLost as error:
        receiver.miss(error.message, gateway)
        return
    came = time.time()
    for start in range(0, len(found), AT_ONCE):
        shown = [Seen(each, came) for each in found[start : start + AT_ONCE] if receiver.wants(each)]
        if shown and not output.closed:
            await output.write(lines(shown))
    if found and found[-1].position is not None:
        receiver.leave_out(found[-1].position)


def _show_log() -> None:
    """Show on the standard error that Redis or the console is lost and back."""
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(message)s"))
    logger = logging.getLogger("asgi_realtime")
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
