"""Texts of declarations as sentences, for descriptions."""

from __future__ import annotations

from asgi_realtime.handlers.event_declarations import EventDeclaration


def sentence(text: str) -> str:
    """Text with a capital and a full stop, unless it begins with code."""
    text = text.strip()
    return "" if not text else text[0].upper() + text[1:] + ("" if text[-1] in ".!?。" else ".")


def target_sentence(event: EventDeclaration) -> str:
    """Who receives an event, or what it does."""
    return sentence(f"to {event.target}" if event.direction == "down" and event.target else event.target)
