"""Print pip constraints: the oldest version that pyproject.toml allows of each package it names."""

from __future__ import annotations

import itertools
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement

ROOT = Path(__file__).parent.parent


def requirements(project: dict[str, Any]) -> Iterator[Requirement]:
    """Those of the package, of its extras, and of the hosts in the examples."""
    named = [project["project"]["dependencies"], *project["project"]["optional-dependencies"].values()]
    return map(Requirement, itertools.chain(*named, project["dependency-groups"]["example"]))


def minimum(requirement: Requirement) -> str:
    """The version after `>=`."""
    [version] = [each.version for each in requirement.specifier if each.operator == ">="]
    return version


if __name__ == "__main__":
    found: dict[str, str] = {}
    for each in requirements(tomllib.loads((ROOT / "pyproject.toml").read_text())):
        found.setdefault(each.name, minimum(each))
    print("\n".join(f"{name}=={version}" for name, version in sorted(found.items())))
