"""The Django app. It has no models: it checks the setting, and ends connections whose user has logged out."""

from __future__ import annotations

from typing import Any

from django.apps import AppConfig, apps
from django.core.checks import register

from asgi_realtime.django.process_broadcaster import LABEL, ProcessBroadcaster


class RealtimeConfig(AppConfig):  # type: ignore[misc]  # Django is published without types
    """The app, by which Django finds the broadcaster of this process."""

    name = "asgi_realtime.django"
    label = LABEL
    verbose_name = "Realtime"

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.broadcaster = ProcessBroadcaster()

    def ready(self) -> None:
        """Register the check, and connect the receivers of signals."""
        from asgi_realtime.django.checks import check_setting
        from asgi_realtime.django.endings import connect_receivers

        register(check_setting)
        if apps.is_installed("django.contrib.auth"):
            connect_receivers()
