"""Files that are made from gateways, one for each: TypeScript types and Python clients."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import click

from asgi_realtime.cli.files import write_file
from asgi_realtime.cli.gateways import gateway_named, packaged_gateways
from asgi_realtime.schema.gateway_kinds import AnyGateway


def make_files(
    gateways: tuple[str, ...],
    output: Path | None,
    *,
    check: bool,
    comment: str,
    file_name: Callable[[AnyGateway], str],
    text_of: Callable[[AnyGateway], str],
) -> None:
    """Make the file of each gateway, and print it, write it or compare it.

    Args:
        gateways: as MODULE:GATEWAY. None: all gateways of the package.
        output: a directory, or a file if it has the suffix of the files. None: print.
        check: compare the files with what would be written, and write nothing.
        comment: how a comment begins, above each of several files that are printed.
        file_name: the file of a gateway in a directory.
        text_of: makes the file.

    Raises:
        click.ClickException: for a gateway that has no such file, or files that differ.
    """
    found = [gateway_named(name) for name in gateways] or packaged_gateways()
    to_file = output is not None and output.suffix == Path(file_name(found[0])).suffix
    if to_file and len(found) > 1:
        raise click.BadParameter("one file cannot hold several gateways: name a directory")
    if check and output is None:
        raise click.BadParameter("--check needs --output, which names what is compared")
    names = [file_name(gateway) for gateway in found]
    twice = sorted({name for name in names if names.count(name) > 1})
    if output is not None and twice:
        raise click.BadParameter(f"several gateways have the file {', '.join(twice)}: write each to a FILE of its own")
    stale = []
    for gateway in found:
        name = file_name(gateway)
        try:
            text = text_of(gateway)
            text.encode()  # raises for half a surrogate pair, which no file can hold
        except (TypeError, ValueError) as error:
            raise click.ClickException(f"{name}: {error}") from None
        if output is None:
            click.echo(text if len(found) == 1 else f"{comment} {name}\n{text}", nl=gateway is not found[-1])
            continue
        path = output if to_file else output / name
        if not check:
            write_file(text, path)
        elif not _holds(path, text):
            stale.append(str(path))
    if stale:
        raise click.ClickException(f"not as declared: {', '.join(stale)}; run the command again without --check")


def _holds(path: Path, text: str) -> bool:
    try:
        return path.read_text(encoding="utf-8") == text
    except FileNotFoundError:
        return False
    except (OSError, UnicodeDecodeError) as error:
        raise click.ClickException(f"cannot read {path}: {error}") from None
