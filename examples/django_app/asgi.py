"""The ASGI application: Django, and the gateways beside it."""

import os

from asgi_realtime.django import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "examples.django_app.settings")

application = get_asgi_application()
