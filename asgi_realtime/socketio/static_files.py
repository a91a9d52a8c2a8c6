"""python-socketio's `static_files` rules: which local file a URL path means."""

from __future__ import annotations

import mimetypes
import os
from collections.abc import Mapping
from typing import TypeAlias

StaticFileRule: TypeAlias = str | Mapping[str, str]
"""A file or a directory; or a mapping with `filename` and `content_type`."""


class StaticFiles:
    """Maps URL paths to files, as python-socketio's documentation describes. For development.

    A rule's path is that of a file, or a prefix for the files of a directory. `/` at the end stands
    for `index.html`, or for what the rule with the empty path says. A path cannot climb out of a
    rule's directory.
    """

    def __init__(self, rules: Mapping[str, StaticFileRule]) -> None:
        self._rules = {path: rule for path, rule in rules.items() if path}
        self._index = rules.get("", "index.html")

    def find(self, path: str) -> tuple[str, str] | None:
        """The file name and content type for a path, if there is such a file."""
        if ".." in path.split("/") or "\\" in path or "\0" in path:
            return None
        prefix, rest = path, ""
        while prefix not in self._rules and prefix + "/" not in self._rules:
            if not prefix:
                return None
            prefix, _, last = prefix.rpartition("/")
            rest = f"/{last}{rest}"
        name, kind = _parts(self._rules.get(prefix, self._rules.get(prefix + "/", "")))
        name = name.removesuffix("/") + rest if rest else name
        if name.endswith("/"):
            index, kind = _parts(self._index)
            name += index
        return (name, kind or _guess(name)) if os.path.isfile(name) else None


def _parts(rule: StaticFileRule) -> tuple[str, str | None]:
    return (rule, None) if isinstance(rule, str) else (rule["filename"], rule.get("content_type"))


def _guess(name: str) -> str:
    return mimetypes.guess_type(name)[0] or "application/octet-stream"
