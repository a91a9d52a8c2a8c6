"""The access rules that docs/operations/redis.md gives."""

from __future__ import annotations

import re

from tests.support.paths import DOCS


def documented_rules(prefix: str) -> list[str]:
    """The rules of the documented user, for another prefix of keys and channels."""
    page = (DOCS / "operations/redis.md").read_text(encoding="utf-8")
    found = re.search(r"^ACL SETUSER app on >PASSWORD (.+)$", page, re.MULTILINE)
    assert found is not None
    return [re.sub(r"^([~&])mew:", rf"\1{prefix}:", rule) for rule in found[1].split()]
