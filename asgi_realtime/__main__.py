"""The command line: `asgi-realtime`, and the same as `python -m asgi_realtime`."""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command that the process's arguments name. Ends the process with the command's exit code."""
    try:
        from asgi_realtime.cli import commands
    except ModuleNotFoundError as error:
        if error.name not in ("click", "rich"):
            raise
        sys.exit("asgi-realtime needs the extra cli: pip install 'asgi_realtime[cli]'")
    commands.main()


if __name__ == "__main__":
    main()
