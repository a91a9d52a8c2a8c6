"""The examples below the help of a command."""

from __future__ import annotations


def examples(*lines: str) -> str:
    """The epilog of a command, with command lines that a reader can copy."""
    heading = "Example:" if len(lines) == 1 else "Examples:"
    return "\n".join(["\b", heading, *(f"  {line}" for line in lines)])
