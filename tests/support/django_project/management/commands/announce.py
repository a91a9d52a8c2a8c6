"""`manage.py announce TEXT`: sends to clients of another process."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand

from asgi_realtime.django import get_broadcaster


class Command(BaseCommand):  # type: ignore[misc]
    """Sends a note."""

    def add_arguments(self, parser: Any) -> None:
        parser.add_argument("text")

    def handle(self, *args: Any, text: str, **options: Any) -> None:
        get_broadcaster().broadcast_to_room("notes", "note", {"text": text}, gateway="/notes")
