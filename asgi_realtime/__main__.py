"""`python -m asgi_realtime`."""

from __future__ import annotations

import sys

try:
    import click  # noqa: F401
except ModuleNotFoundError:
    sys.exit("python -m asgi_realtime needs the extra cli: pip install 'asgi_realtime[cli]'")

from asgi_realtime.cli.commands import main

if __name__ == "__main__":
    main(prog_name="python -m asgi_realtime")
