"""The commands of `python -m asgi_realtime`."""

from __future__ import annotations

import importlib
from pathlib import Path

import click

from asgi_realtime.gateways.base import Gateway
from asgi_realtime.schema.typescript.files import AnyGateway, file_name, typescript
from asgi_realtime.systems.chat.gateway import ChatGateway
from asgi_realtime.systems.events.gateway import EventsGateway
from asgi_realtime.systems.jobs.gateway import JobsGateway
from asgi_realtime.systems.mew.gateway import MewGateway
from asgi_realtime.systems.mew.infra import InfraGateway

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
    """The gateway that an argument names. What its module raises while it is imported is shown with its traceback."""
    module, _, attribute = name.partition(":")
    if not attribute or not all(part.isidentifier() for part in module.split(".")):
        raise click.BadParameter(f"{name}: write MODULE:GATEWAY, such as app.gateways:ChatRoom")
    try:
        imported = importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{module}.".startswith(f"{error.name}."):
            raise
        raise click.BadParameter(
            f"{name}: there is no module {error.name}; run this in the directory that holds it"
        ) from None
    if not hasattr(imported, attribute):
        there = [each for each, value in vars(imported).items() if _is_gateway(value)]
        raise click.BadParameter(f"{name}: {module} has no {attribute}; its gateways are: {', '.join(there) or 'none'}")
    found = getattr(imported, attribute)
    if not _is_gateway(found):
        kind = f"the class {found.__name__}" if isinstance(found, type) else f"a {type(found).__name__}"
        raise click.BadParameter(f"{name} is no gateway but {kind}; name a gateway, class or instance")
    if isinstance(found, Gateway) and "_name" not in vars(found):
        raise click.BadParameter(f"{name}: {type(found).__name__}.__init__ does not call super().__init__(...)")
    gateway: AnyGateway = found
    return gateway


def _is_gateway(value: object) -> bool:
    return isinstance(value, Gateway) or (isinstance(value, type) and issubclass(value, Gateway))
