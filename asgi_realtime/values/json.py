"""The type of decoded JSON."""

from __future__ import annotations

from typing import Any, TypeAlias

Json: TypeAlias = Any
"""A decoded JSON value, with `bytes` where a Socket.IO attachment was. It must be validated before use."""
