"""What the machine and its Python must offer: open files, and versions of packages."""

from __future__ import annotations

import importlib.metadata
import re
from collections.abc import Iterator
from typing import Final

from asgi_realtime.checks.configuration import Configuration
from asgi_realtime.checks.problem import Problem

try:
    import resource
except ImportError:  # Windows has no such limit
    _resource = None
else:
    _resource = resource

_RESERVED: Final = 100
"""Files that a process opens beside its connections: libraries, logs, listeners, databases, Redis."""
_REQUIREMENT = re.compile(r"([A-Za-z0-9._-]+)(?:\[[^]]*\])?>=([0-9.]+)")


def open_files() -> int | None:
    """How many files this process may open. None: as many as it likes."""
    if _resource is None:
        return None
    soft, _ = _resource.getrlimit(_resource.RLIMIT_NOFILE)
    return None if soft == _resource.RLIM_INFINITY else soft


def check_open_files(configuration: Configuration, connections: int | None) -> Iterator[Problem]:
    """Compare the limit of open files with the connections that are expected: each needs one.

    `connections` None: `MEW_SESSIONS`, if it is set.
    """
    if connections is None and configuration.has("MEW_SESSIONS"):
        connections = configuration.settings.limits.sessions
    limit = open_files()
    if connections is not None and limit is not None and limit < connections + _RESERVED:
        needed = connections + _RESERVED
        yield Problem(
            "ulimit -n",
            f"this process may open {limit} files, and {connections} connections need about {needed}; set ulimit -n "
            f"{needed} in the shell, LimitNOFILE={needed} in a systemd unit, or --ulimit nofile={needed} for Docker",
        )


def check_versions() -> Iterator[Problem]:
    """Compare the installed packages with what this package requires, also those of its extras, such as uvicorn."""
    try:
        requirements = importlib.metadata.requires("asgi_realtime") or []
    except importlib.metadata.PackageNotFoundError:
        return  # it runs from its sources, and is not installed
    for requirement in requirements:
        found = _REQUIREMENT.match(requirement)
        if found is None:
            continue
        name, oldest = found.groups()
        try:
            installed = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue  # of an extra, which need not be installed
        if _numbers(installed) < _numbers(oldest):
            yield Problem(
                name, f"{name} {installed} is too old; install {oldest} or newer: pip install '{name}>={oldest}'"
            )


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(map(int, re.findall(r"\d+", re.split(r"[^0-9.]", version)[0])))
