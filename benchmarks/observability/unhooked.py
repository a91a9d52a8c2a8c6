"""A copy of the package without the statements that metrics need on the way of an event and of a broadcast.

Tracing needs none there: handlers are wrapped when they are declared, and hub and publisher are subclasses. So the copy
is what the package would be if it had neither.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Final

from benchmarks.catalogue import HERE

_PACKAGE: Final = HERE.parent / "asgi_realtime"

HOOKS: Final = (
    (
        "gateways/plain_events.py",
        """
            if counter is not None:
                counter.value += 1
                turn.event = name""",
    ),
    (
        "gateways/plain_events.py",
        """
        began = 0.0 if self._metrics is None else perf_counter()""",
    ),
    (
        "gateways/plain_events.py",
        """
        finally:
            if self._metrics is not None:
                self._metrics.waited(turn.event, perf_counter() - began)""",
    ),
    (
        "gateways/dispatcher.py",
        """
        if self._event_metrics.on:
            self._event_metrics.counter(event).value += 1""",
    ),
    (
        "gateways/dispatcher.py",
        """
        began = perf_counter() if self._event_metrics.on else 0.0""",
    ),
    (
        "gateways/dispatcher.py",
        """
        finally:
            if self._event_metrics.on:
                self._event_metrics.waited(event, perf_counter() - began)""",
    ),
    (
        "connection/connection.py",
        """
            if mounted.frames is not None:
                mounted.frames.value += 1
                mounted.bytes.value += frame.size""",
    ),
    (
        "broadcasting/publisher.py",
        """
        began = 0.0 if self._metrics is None else perf_counter()""",
    ),
    (
        "broadcasting/publisher.py",
        """
        if self._metrics is not None:
            self._metrics.published(publication.gateway, perf_counter() - began)""",
    ),
    (
        "hub/hub.py",
        """
        if mount.delivered is not None:
            mount.delivered.observe(recipients)""",
    ),
    (
        "hub/batch.py",
        """
            if self._sent is not None:
                self._sent.add(len(frames), joined.size, len(recipients))""",
    ),
    (
        "hub/batch.py",
        """
        if self._sent is not None:
            self._sent.add_parts(parts, len(recipients))""",
    ),
)
"""The statements, each with its file."""


def make_unhooked(folder: Path) -> Path:
    """Write the copy into a folder, which is to come first in `sys.path`. Returns the folder.

    Raises:
        ValueError: a statement is not in its file, exactly once.
    """
    shutil.copytree(_PACKAGE, folder / "asgi_realtime", ignore=shutil.ignore_patterns("__pycache__"))
    for name, hook in HOOKS:
        file = folder / "asgi_realtime" / name
        text = file.read_text("utf-8")
        if text.count(f"{hook}\n") != 1:
            raise ValueError(f"{name} does not have this statement once:{hook}")
        file.write_text(text.replace(f"{hook}\n", "\n"), "utf-8")
    return folder
