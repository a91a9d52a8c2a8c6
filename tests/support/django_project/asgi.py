"""The ASGI application."""

import os

from asgi_realtime.django import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.support.django_project.settings")

application = get_asgi_application()
