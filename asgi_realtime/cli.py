"""The commands of `python -m asgi_realtime`."""

from __future__ import annotations

import importlib
from pathlib import Path

import click

from asgi_realtime.gateways.base import Gateway
from asgi_realtime.gateways.chat import ChatGateway
from asgi_realtime.gateways.events import EventsGateway
from asgi_realtime.gateways.infra import InfraGateway
from asgi_realtime.gateways.jobs import JobsGateway
from asgi_realtime.gateways.mew import MewGateway
from asgi_realtime.typescript.files import AnyGateway, file_name, typescript

SYSTEMS: tuple[type[Gateway], ...] = (MewGateway, InfraGateway, EventsGateway, ChatGateway, JobsGateway)


@click.group()
@click.version_option(package_name="asgi_realtime")
def main() -> None:
    """Commands around realtime gateways."""


@main.command()
@click.argument("gateways", nargs=-1, metavar="[MODULE:GATEWAY]...")
@click.option(
    "--output",
    type=click.Path(path_type=Path),
    metavar="DIRECTORY|FILE.ts",
    help="Write a file for each gateway into the directory; or the only gateway's to the file. Default: print it.",
)
def types(gateways: tuple[str, ...], output: Path | None) -> None:
    """Make TypeScript types of gateways' events.

    MODULE:GATEWAY is a gateway of yours, class or instance. Without any: the gateways that come with the package.
    """
    found = [_find(name) for name in gateways] or list(SYSTEMS)
    to_file = output is not None and output.suffix == ".ts"
    if to_file and len(found) > 1:
        raise click.BadParameter("several gateways do not go into one file: name a directory")
    for gateway in found:
        name = file_name(gateway)
        try:
            text = typescript(gateway)
        except (TypeError, ValueError) as error:
            raise click.ClickException(f"{name}: {error}") from None
        if output is None:
            click.echo(text if len(found) == 1 else f"// {name}\n{text}")
        else:
            _write(text, output if to_file else output / name)


def _write(text: str, path: Path) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise click.ClickException(f"cannot write {path}: {error.strerror}") from None


def _find(name: str) -> AnyGateway:
    module, _, attribute = name.partition(":")
    try:
        found = getattr(importlib.import_module(module), attribute)
    except (ImportError, ValueError, AttributeError) as error:
        raise click.BadParameter(f"{name}: {error}") from None
    if isinstance(found, Gateway) or (isinstance(found, type) and issubclass(found, Gateway)):
        return found
    raise click.BadParameter(f"{name} is no gateway")
