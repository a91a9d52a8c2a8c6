"""The tables. There are no migrations: `migrate --run-syncdb` creates them."""

from __future__ import annotations

from django.conf import settings
from django.contrib.auth.models import User
from django.db import models


class Note(models.Model):  # type: ignore[misc]
    """A line of text in a room."""

    room = models.CharField(max_length=50)
    text = models.TextField()


class Membership(models.Model):  # type: ignore[misc]
    """A user may see a room."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE)
    room = models.CharField(max_length=50)


class Deputy(User):  # type: ignore[misc]
    """A user, in the same table."""

    class Meta:
        proxy = True


class Editor(User):  # type: ignore[misc]
    """A user, with a table of its own beside that of all users."""

    column = models.CharField(max_length=50)
