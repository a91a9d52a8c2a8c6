"""A Celery task that sends to clients of another process."""

from __future__ import annotations

import os

import django
from celery import Celery

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.support.django_project.settings")
django.setup()

from asgi_realtime.django import get_broadcaster  # noqa: E402

app = Celery("tasks", broker=os.environ["CELERY_BROKER"])


@app.task  # type: ignore[untyped-decorator]
def announce(text: str) -> None:
    get_broadcaster().broadcast_to_room("notes", "note", {"by": os.getppid(), "text": text}, gateway="/notes")
