"""Why a process should get no clients at this moment."""

from __future__ import annotations

import enum


class Unready(enum.StrEnum):
    """A reason, in words for the operator."""

    STARTING = "the gateways have not started"
    STOPPING = "the process is stopping"
    REDIS = "Redis does not answer"
