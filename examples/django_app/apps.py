"""The app."""

from __future__ import annotations

from django.apps import AppConfig


class ChatConfig(AppConfig):  # type: ignore[misc]
    """Connects the receivers of signals."""

    name = "examples.django_app"
    label = "chat"

    def ready(self) -> None:
        from examples.django_app import signals  # noqa: F401
