"""`python -m examples.django_app`: the app on port 3002 of this machine, or on `$HOST` and `$PORT`."""

from __future__ import annotations

import argparse
import logging
import os
import sys

import django
import uvicorn
from django.core.management import call_command

WHAT_TO_TRY = """
  Mew on Django is at {url}

  Log in as alice in one browser and as bob in another one (or in a private window). The password is: mew
  Send messages, retract them, kick bob. The admin is at {url}/admin/, for alice: what you change there arrives too.
"""


def main() -> None:
    """Serve until interrupted."""
    argparse.ArgumentParser(prog="python -m examples.django_app", description=__doc__).parse_args()
    host = os.environ.get("HOST") or "127.0.0.1"
    port = os.environ.get("PORT") or "3002"
    if not port.isdecimal():
        sys.exit("PORT must be a number")
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "examples.django_app.settings")
    django.setup()
    from django.conf import settings

    settings.FOLDER.mkdir(parents=True, exist_ok=True)
    logging.disable(logging.WARNING)  # `seed` sends events, and warns that there are no clients yet
    call_command("migrate", verbosity=0)
    call_command("seed")
    logging.disable(logging.NOTSET)
    url = f"http://{'localhost' if host in ('127.0.0.1', '0.0.0.0') else host}:{port}"
    print(WHAT_TO_TRY.format(url=url), flush=True)
    uvicorn.run("examples.django_app.asgi:application", host=host, port=int(port), log_level="warning")


if __name__ == "__main__":
    main()
