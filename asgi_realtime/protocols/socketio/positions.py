"""Positions in packets that are encoded already.

The JavaScript client takes the last argument of an event for its position if it is a string. The event's name counts as
an argument. So each event to such a client that ends with a string must end with a position.
"""

from __future__ import annotations

import re

from asgi_realtime.protocols.frame import Frame

_EVENT_WITHOUT_ACK = re.compile(r"4(?:2|5[0-9]+-)(?:/[^,]*,)?\[")


def ends_with_text(frame: Frame) -> bool:
    """Whether a frame is an event whose last argument a client would take for a position."""
    text = frame.messages[0]
    return isinstance(text, str) and text.endswith('"]') and _EVENT_WITHOUT_ACK.match(text) is not None
