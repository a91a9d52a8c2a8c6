"""What a misfit between two schemas means for clients, in words."""

from __future__ import annotations

from collections.abc import Mapping

from asgi_realtime.schema.asyncapi.diff.operations import Action
from asgi_realtime.schema.asyncapi.diff.schemas import Misfit, Reason

_REFUSED: Mapping[Reason, str] = {
    "required": "the field is required now",
    "absent": "the field is required now",
    "field": "the field is refused now",
    "other fields": "fields without a name here are refused now",
    "value": "the value {} is refused now",
    "values": "only some values of the type {} are accepted now",
    "type": "the type {} is refused now",
    "limit": "the limit {} is stricter now",
}
_ACCEPTED: Mapping[Reason, str] = {
    "required": "the field may be left out now",
    "absent": "the field is gone",
    "field": "the field is accepted now",
    "other fields": "fields without a name here are accepted now",
    "value": "the value {} is accepted now",
    "values": "all values of the type {} are accepted now",
    "type": "the type {} is accepted now",
    "limit": "the limit {} is less strict now",
}
_NOT_SENT: Mapping[Reason, str] = {
    "required": "the field is always sent now",
    "absent": "the field is new",
    "field": "the field is no longer sent",
    "other fields": "fields without a name here are no longer sent",
    "value": "the value {} is no longer sent",
    "values": "only some values of the type {} are sent now",
    "type": "the type {} is no longer sent",
    "limit": "the limit {} is stricter now",
}
_SENT: Mapping[Reason, str] = {
    "required": "the field may be missing now",
    "absent": "the field is gone",
    "field": "the field is sent now",
    "other fields": "fields without a name here may be sent now",
    "value": "the value {} may be sent now",
    "values": "all values of the type {} may be sent now",
    "type": "the type {} may be sent now",
    "limit": "the limit {} is less strict now",
}
_WORDS: Mapping[tuple[Action, bool], Mapping[Reason, str]] = {
    ("receive", True): _REFUSED,
    ("receive", False): _ACCEPTED,
    ("send", True): _NOT_SENT,
    ("send", False): _SENT,
}


def change_of(misfit: Misfit, action: Action, *, is_past: bool) -> str:
    """What has changed. `is_past`: a value of the old schema does not fit the new one, and not the reverse."""
    return _WORDS[action, is_past][misfit.reason].format(misfit.subject)
