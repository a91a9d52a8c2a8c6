"""Runs a test over each transport of the test client, and so over both ways of handling events."""

from __future__ import annotations

import typing

import pytest

from asgi_realtime.testing import Transport

each_transport = pytest.mark.parametrize("transport", typing.get_args(Transport))
"""The events of the test client's WebSocket are handled in the general way, those over polling as plain events.

See `asgi_realtime.gateways.plain_events`.
"""
