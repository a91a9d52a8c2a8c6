"""The type of decoded JSON."""

from __future__ import annotations

from typing import Any, TypeAlias

Json: TypeAlias = Any
"""A decoded JSON value. It contains `bytes` in the places of Socket.IO attachments. Validate it before use."""
