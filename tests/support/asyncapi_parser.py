"""The official parser of AsyncAPI, from npm."""

from __future__ import annotations

import json
import subprocess
from typing import Any, NamedTuple

from tests.support.paths import ROOT

FOLDER = ROOT / "tests" / "schema"
OTHER_VERSIONS = "asyncapi-latest-version"
"""What it says of every document that is not of the newest version."""


class Parsed(NamedTuple):
    """What it has read of a document, and what is wrong with it."""

    problems: list[dict[str, str]]
    operations: list[str]


def parse(*documents: dict[str, Any]) -> list[Parsed]:
    """Parse documents."""
    done = subprocess.run(
        ["node", "parse_asyncapi.mjs"],
        cwd=FOLDER,
        input=json.dumps([json.dumps(document) for document in documents]),
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert done.returncode == 0, done.stderr
    return [
        Parsed([one for one in each["problems"] if one["code"] != OTHER_VERSIONS], each["operations"])
        for each in json.loads(done.stdout)
    ]
