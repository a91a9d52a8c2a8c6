"""The table of faults names tests that exist."""

from __future__ import annotations

import re
from pathlib import Path

import tests.faults


def test_each_test_of_the_table_exists() -> None:
    named = re.findall(r"`(test_\w+)::(test_\w+)`", tests.faults.__doc__ or "")
    assert len(named) > 15
    for module, test in named:
        assert f"def {test}(" in (Path(__file__).parent / f"{module}.py").read_text(encoding="utf-8"), test
