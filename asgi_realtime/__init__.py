"""A realtime gateway for Python web apps: Socket.IO and JSON WebSockets beside the app's own routes.

The exported names are in `asgi_realtime/exports.py`.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from asgi_realtime.exports import *  # noqa: F403
    from asgi_realtime.exports import __all__ as __all__
else:  # so that type checkers refuse names that do not exist

    def __getattr__(name: str) -> Any:
        """Import the server when one of its names is used. `import asgi_realtime` alone imports none of it."""
        exports = importlib.import_module("asgi_realtime.exports")
        if name != "__all__" and name not in exports.__all__:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        value = globals()[name] = getattr(exports, name)
        return value

    def __dir__() -> list[str]:
        """What `dir` shows: also the names that were not used yet."""
        return sorted({*globals(), *importlib.import_module("asgi_realtime.exports").__all__})
