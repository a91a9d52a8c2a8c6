"""The settings of the app, as a command reads them."""

from __future__ import annotations

import warnings

import click

from asgi_realtime.errors import ConfigurationError
from asgi_realtime.settings import Settings, environment

RANDOM_SECRET = (
    "MEW_DEV without MEW_JWT_SECRET gives each process a random secret, so a token is valid in one process only; set "
    "MEW_JWT_SECRET, here and for the app"
)
"""Why a token can be neither made nor verified by this process."""


def app_settings() -> Settings:
    """The settings that the environment has.

    Raises:
        click.ClickException: they are wrong. The command ends with exit code 1.
    """
    # PyJWT warns of a short secret at each use. The settings have done so already, and name the variable.
    warnings.filterwarnings("ignore", message="The HMAC key is", module="jwt")
    try:
        return Settings.from_env()
    except ConfigurationError as error:
        raise click.ClickException(str(error)) from None


def has_random_secret(settings: Settings) -> bool:
    """Whether the secret was made at random for this process, and is unknown to every other one."""
    return settings.dev and bool(settings.jwt_secret) and not environment().get("MEW_JWT_SECRET", "").strip()
