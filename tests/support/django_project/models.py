"""The tables. There are no migrations: `migrate --run-syncdb` creates them."""

from __future__ import annotations

from django.conf import settings
from django.db import models


class Note(models.Model):  # type: ignore[misc]
    """A line of text in a room."""

    room = models.CharField(max_length=50)
    text = models.TextField()


class Membership(models.Model):  # type: ignore[misc]
    """A user may see a room."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE)
    room = models.CharField(max_length=50)
