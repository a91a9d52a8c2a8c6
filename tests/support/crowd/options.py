"""The command line of the programs in this folder."""

from __future__ import annotations

import argparse
import json
from typing import Any


def read_options(program: str, description: str | None) -> dict[str, Any]:
    """The only argument: a JSON object. Anything else ends the program with a message."""
    parser = argparse.ArgumentParser(prog=f"python -m tests.support.crowd.{program}", description=description)
    parser.add_argument("options", help="the parameters of `Crowd`, as a JSON object", type=json.loads)
    options: dict[str, Any] = parser.parse_args().options
    return options
