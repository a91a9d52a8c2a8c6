"""The settings. `PROJECT_SETTINGS` is JSON that replaces some of them, `PROJECT_FOLDER` has the database."""

from __future__ import annotations

import json
import os
from typing import Any

FOLDER = os.environ.get("PROJECT_FOLDER", ".")

SECRET_KEY = "a secret of at least thirty-two bytes"
DEBUG = True
ALLOWED_HOSTS = ["127.0.0.1", "localhost"]
ROOT_URLCONF = "tests.support.django_project.urls"
ASGI_APPLICATION = "tests.support.django_project.asgi.application"
INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "asgi_realtime.django",
    "tests.support.django_project",
]
MIDDLEWARE = [
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
]
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]
DATABASES: dict[str, dict[str, Any]] = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": f"{FOLDER}/project.sqlite3",
        "OPTIONS": {"timeout": 20, "transaction_mode": "IMMEDIATE", "init_command": "PRAGMA synchronous = OFF"},
    }
}
# Without migrations the tables are created at once, which takes less time.
MIGRATION_MODULES = dict.fromkeys(("admin", "auth", "contenttypes", "sessions"))
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
STATIC_URL = "/static/"
USE_TZ = True

ASGI_REALTIME: dict[str, object] = {
    "GATEWAYS": "tests.support.django_project.realtime.GATEWAYS",
    "MEW_JWT_SECRET": "a secret of at least thirty-two bytes",
}

globals().update(json.loads(os.environ.get("PROJECT_SETTINGS", "{}")))
