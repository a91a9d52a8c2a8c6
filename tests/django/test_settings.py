"""The setting `ASGI_REALTIME`, and `manage.py check`."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support.django_server import environment
from tests.support.new_python import printed_by

GATEWAYS = "tests.support.django_project.realtime.GATEWAYS"
SECRET = "a secret of at least thirty-two bytes"
GOOD = {"GATEWAYS": GATEWAYS, "MEW_JWT_SECRET": SECRET}

PROGRAM = """
import json, sys
import django
django.setup()
from django.core.checks import run_checks
from django.test import override_settings
from asgi_realtime.django import get_settings
found = []
for setting in json.loads(sys.stdin.read()):
    with override_settings(ASGI_REALTIME=setting):
        errors = [f"{error.id} {error.msg}" for error in run_checks()]
        if not errors:
            settings = get_settings()
            errors = [settings.ping_interval, settings.cors_origins, settings.compression, settings.limits.sessions]
        found.append(errors)
print(json.dumps(found))
"""


def check(folder: Path, *settings: Any, **variables: str) -> Any:
    """What the check says to each of these settings; for good ones some of the values."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        cwd=folder,
        env=environment(folder, {}, variables),
        input=json.dumps(settings),
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return json.loads(done.stdout)


def test_a_wrong_setting_is_named(tmp_path: Path) -> None:
    wrong: dict[str, Any] = {
        "E001 ASGI_REALTIME has the unknown key 'MEW_PING_INTERVALL'; did you mean 'MEW_PING_INTERVAL'?": GOOD
        | {"MEW_PING_INTERVALL": 3},
        "E001 ASGI_REALTIME has the unknown key 'jwt_secret'; did you mean 'MEW_JWT_SECRET'?": {"jwt_secret": SECRET},
        "E001 ASGI_REALTIME has the unknown key 'gateways'; did you mean 'GATEWAYS'?": {"gateways": GATEWAYS},
        "E001 MEW_PING_INTERVAL must be a number": GOOD | {"MEW_PING_INTERVAL": "often"},
        "E001 MEW_PING_INTERVAL must be greater than 0": GOOD | {"MEW_PING_INTERVAL": 0},
        "E001 ASGI_REALTIME: MEW_JWT_SECRET must be text, a number, True, False or a list of texts without commas, "
        "not dict": GOOD | {"MEW_JWT_SECRET": {"key": SECRET}},
        "E001 settings.py needs ASGI_REALTIME": None,
        "E002 ASGI_REALTIME: GATEWAYS must be the dotted path of a list": {"MEW_JWT_SECRET": SECRET},
        "E002 ASGI_REALTIME: GATEWAYS: No module named 'nowhere'": GOOD | {"GATEWAYS": "nowhere.GATEWAYS"},
        "E003 gateways=": GOOD | {"GATEWAYS": "tests.support.django_project.realtime.by_session_or_token"},
    }
    found = check(tmp_path, *wrong.values())
    assert len(found) == len(wrong)
    for expected, errors in zip(wrong, found, strict=True):
        [error] = errors
        assert error.startswith(f"asgi_realtime.{expected}")
        assert SECRET not in error


def test_values_are_those_of_python_and_variables_win(tmp_path: Path) -> None:
    given = GOOD | {
        "MEW_PING_INTERVAL": 12,
        "MEW_CORS_ORIGINS": ["https://one.example", "https://two.example"],
        "MEW_COMPRESSION": True,
        "MEW_SESSIONS": "77",
        "MEW_REDIS_URL": None,
    }
    [values] = check(tmp_path, given)
    assert values == [12.0, ["https://one.example", "https://two.example"], True, 77]
    [values] = check(
        tmp_path, given, MEW_PING_INTERVAL="3.5", MEW_COMPRESSION=" ", MEW_CORS_ORIGINS="https://a.example"
    )
    assert values == [3.5, ["https://a.example"], True, 77]


@pytest.mark.parametrize("installed", [True, False])
def test_the_application_needs_the_app(tmp_path: Path, installed: bool) -> None:
    apps = ["asgi_realtime.django"] if installed else []
    program = "from tests.support.django_project.asgi import application; print(type(application).__mro__[1].__name__)"
    setting = {"GATEWAYS": "tests.support.django_project.no_gateways.GATEWAYS"}
    settings = {
        "ASGI_REALTIME": setting,
        "INSTALLED_APPS": ["django.contrib.auth", "django.contrib.contenttypes", *apps],
    }
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=tmp_path,
        env=environment(
            tmp_path,
            settings,
            {},
        ),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    if installed:
        assert done.stdout == "RealtimeMiddleware\n"
    else:
        assert 'add "asgi_realtime.django" to INSTALLED_APPS' in done.stdout


def test_django_is_imported_only_by_its_own_package() -> None:
    program = "import sys, asgi_realtime, asgi_realtime.testing, asgi_realtime.cli; print('django' in sys.modules)"
    assert printed_by(program) == "False\n"
