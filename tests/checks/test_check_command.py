"""`asgi-realtime check`: each wrong configuration is reported with its variable and the remedy, a right one is not."""

from __future__ import annotations

import importlib.metadata
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from packaging.requirements import Requirement

from asgi_realtime.cli.commands import main
from tests.support.command_line import command, on_a_terminal
from tests.support.redis_cluster import RedisClusterProcesses
from tests.support.redis_places import PLACES, RedisPlaces
from tests.support.redis_sentinel import RedisSentinel
from tests.support.wrong_places import PASSWORD, PREFIX, wrong_places

SECRET = "kX3-vQ8_zR5tY1uW7pL2mN9bC4dF6gH0"
RIGHT = {"MEW_JWT_SECRET": SECRET}
NO_SECRET = {"MEW_JWT_SECRET": ""}
PREFIXED = {"MEW_REDIS_PREFIX": PREFIX}
DEMO = "demo-token"

Wrong = tuple[dict[str, str], str, str]
VARIABLES: list[Wrong] = [
    ({"MEW_PING_INTERVAL": "often"}, "MEW_PING_INTERVAL", "must be a number"),
    ({"MEW_DEV": "perhaps"}, "MEW_DEV", "must be true or false"),
    ({"MEW_SESSIONS": "0"}, "MEW_SESSIONS", "greater than 0"),
    ({"MEW_REDIS_PREFIX": "a b"}, "MEW_REDIS_PREFIX", "takes letters, digits"),
    ({"MEW_ON_BROKER_DOWN": "wait"}, "MEW_ON_BROKER_DOWN", "must be raise or local"),
    ({"MEW_REDIS_ULR": "redis://x"}, "MEW_REDIS_ULR", "did you mean MEW_REDIS_URL?"),
    ({"MEW_COLOUR": "red"}, "MEW_COLOUR", "no such variable; remove it"),
    ({"WS_AUTH_TOKEN": DEMO}, "WS_AUTH_TOKEN", "WS_ALLOW_DEMO_TOKEN=true"),
    ({"WS_ALLOW_DEMO_TOKEN": "true"}, "WS_ALLOW_DEMO_TOKEN", "anyone can connect"),
    ({"MEW_TRUSTED_PROXIES": "10.0.0.0/8,proxy"}, "MEW_TRUSTED_PROXIES", "10.0.0.0/8, or * for any"),
]
SECRETS_AND_KEYS: list[Wrong] = [
    (NO_SECRET, "MEW_JWT_SECRET", "set MEW_JWT_SECRET"),
    ({"MEW_JWT_SECRET": SECRET[:20]}, "MEW_JWT_SECRET", "make one with: python -c"),
    ({"MEW_JWT_SECRET": "a secret of at least thirty-two bytes"}, "MEW_JWT_SECRET", "so it is known; make one with"),
    ({"MEW_JWT_SECRET": "abc" * 20}, "MEW_JWT_SECRET", "different characters and can be guessed; make one"),
    ({"MEW_JWT_SECRET": f"'{SECRET}'"}, "MEW_JWT_SECRET", "quotes or spaces"),
    ({"MEW_JWT_SECRET": "-----BEGIN PUBLIC KEY-----"}, "MEW_JWT_SECRET", "belongs into MEW_JWT_PUBLIC_KEY"),
    ({"MEW_JWT_SECRET": SECRET, "MEW_JWT_PUBLIC_KEY": "{public_file}"}, "MEW_JWT_SECRET", "keep only the one"),
    ({"MEW_ADMIN_SECRET": SECRET[:9]}, "MEW_ADMIN_SECRET", "fewer than 16 bytes"),
    ({"MEW_ADMIN_SECRET": "please-changeme-soon"}, "MEW_ADMIN_SECRET", "make one with"),
    ({"MEW_CONSOLE_SECRET": SECRET[:9]}, "MEW_CONSOLE_SECRET", "at least 16 bytes"),
    ({"MEW_CONSOLE_SECRET": "please-changeme-soon"}, "MEW_CONSOLE_SECRET", "make one with"),
    (NO_SECRET | {"MEW_JWT_PUBLIC_KEY": "{private_file}"}, "MEW_JWT_PUBLIC_KEY", "takes only the public one"),
    (NO_SECRET | {"MEW_JWT_PUBLIC_KEY": "/no/such.pem"}, "MEW_JWT_PUBLIC_KEY", "the path of a file that can be read"),
    (NO_SECRET | {"MEW_JWT_PUBLIC_KEY": "{garbage_file}"}, "MEW_JWT_PUBLIC_KEY", "no PEM public key"),
    (NO_SECRET | {"MEW_JWT_PUBLIC_KEY": "{short_file}"}, "MEW_JWT_PUBLIC_KEY", "at least 2048 bits"),
    (
        NO_SECRET | {"MEW_JWT_PUBLIC_KEY": "{public_file}", "MEW_JWT_ALGORITHMS": "HS256"},
        "MEW_JWT_ALGORITHMS",
        "takes ES256",
    ),
    (NO_SECRET | {"MEW_JWKS_URL": "id.example.com/keys"}, "MEW_JWKS_URL", "starts with https://"),
    (NO_SECRET | {"MEW_JWKS_URL": "http://{nothing}/"}, "MEW_JWKS_URL", "refused>; correct the URL"),
    (NO_SECRET | {"MEW_JWKS_URL": "http://127.0.0.2:1/"}, "MEW_JWKS_URL", "write https://"),
    (NO_SECRET | {"MEW_JWKS_URL": "{no_keys}"}, "MEW_JWKS_URL", "no key that can verify signatures; correct the URL"),
    (NO_SECRET | {"MEW_JWKS_URL": "{page}"}, "MEW_JWKS_URL", "must return a JSON Web Key Set"),
    (NO_SECRET | {"MEW_JWKS_URL": "{broken}"}, "MEW_JWKS_URL", "503"),
    (NO_SECRET | {"MEW_JWKS_URL": "{silent}"}, "MEW_JWKS_URL", "no complete answer within"),
    (
        NO_SECRET | {"MEW_JWKS_URL": "{keys}", "MEW_JWT_ALGORITHMS": "RS256"},
        "MEW_JWT_ALGORITHMS",
        "published keys are for ES256; unset it",
    ),
]
ORIGINS_AND_LIMITS: list[Wrong] = [
    ({"MEW_CORS_ORIGINS": "*"}, "MEW_CORS_ORIGINS", "credentials (cookies, withCredentials) fail from them; list"),
    ({"MEW_CORS_ORIGINS": "https://*"}, "MEW_CORS_ORIGINS", "list the origins of your pages"),
    ({"MEW_CORS_ORIGIN_REGEX": ".*"}, "MEW_CORS_ORIGIN_REGEX", "list the origins of your pages"),
    ({"MEW_CORS_ORIGINS": "app.example.com"}, "MEW_CORS_ORIGINS", "write scheme and host"),
    ({"MEW_CORS_ORIGINS": "http://app.example.com"}, "MEW_CORS_ORIGINS", "write https://app.example.com"),
    ({"MEW_CORS_ORIGINS": "http://localhost:*"}, "MEW_CORS_ORIGINS", "leave it out in production"),
    ({"CORS_ORIGIN": "http://localhost:3000"}, "CORS_ORIGIN", "leave it out in production"),
    ({"CORS_ORIGIN": "*"}, "CORS_ORIGIN", "list the origins of your pages"),
    ({"MEW_EVENT_RATE": "500"}, "MEW_EVENT_RATE", "(500) is greater than MEW_USER_EVENT_RATE (400)"),
    ({"MEW_EVENT_BURST": "9000"}, "MEW_EVENT_BURST", "lower the first or raise the second"),
    ({"MEW_SESSIONS_PER_ADDRESS": "200000"}, "MEW_SESSIONS_PER_ADDRESS", "the limit of the process"),
    ({"MEW_HISTORY_TTL": "60"}, "MEW_HISTORY_TTL", "MEW_RECOVERY_WINDOW (120) is greater than MEW_HISTORY_TTL (60)"),
    ({"MEW_PUBLISH_TIMEOUT": "60"}, "MEW_PUBLISH_TIMEOUT", "before its broadcast fails"),
    ({"MEW_SESSIONS": "2000000000"}, "ulimit -n", "LimitNOFILE=2000000100"),
]
REDIS: list[Wrong] = [
    ({"MEW_REDIS_URL": "http://redis"}, "MEW_REDIS_URL", "must begin with one of redis://"),
    ({"MEW_REDIS_URL": "redis://{nothing}"}, "MEW_REDIS_URL", "start Redis there, or correct the URL"),
    ({"MEW_REDIS_URL": "redis://{silent_port}"}, "MEW_REDIS_URL", "start Redis there, or correct the URL"),
    ({"MEW_REDIS_URL": f"unix://stranger:{PASSWORD}@{{redis}}"}, "MEW_REDIS_URL", "check the user and the password"),
    (PREFIXED | {"MEW_REDIS_URL": f"unix://reader:{PASSWORD}@{{redis}}"}, "MEW_REDIS_URL", "permit the commands"),
    (PREFIXED | {"MEW_REDIS_URL": f"unix://deaf:{PASSWORD}@{{redis}}"}, "MEW_REDIS_URL", "permit the channels"),
    (
        PREFIXED | {"MEW_REDIS_URL": f"unix://neighbour:{PASSWORD}@{{redis}}"},
        "MEW_REDIS_URL",
        f"begin with MEW_REDIS_PREFIX, {PREFIX}:",
    ),
    ({"MEW_REDIS_URL": "{evicting}"}, "MEW_REDIS_URL", "set it to noeviction"),
    ({"MEW_REDIS_URL": "{no_resp3}"}, "MEW_REDIS_URL", "use Redis 6.2 or newer"),
    ({"MEW_REDIS_URL": "redis://{cluster_port}"}, "MEW_REDIS_URL", "write redis+cluster://"),
    ({"MEW_REDIS_URL": "redis+cluster://{redis_port}"}, "MEW_REDIS_URL", "write redis:// instead"),
    ({"MEW_REDIS_URL": "redis://{sentinel_port}"}, "MEW_REDIS_URL", "write redis+sentinel://"),
    (
        {"MEW_REDIS_URL": "redis+sentinel://{sentinel_port}/wrong"},
        "MEW_REDIS_URL",
        "no Sentinel names a master of 'wrong'",
    ),
    ({"MEW_REDIS_URL": "redis+sentinel://{sentinel_port}"}, "MEW_REDIS_URL", "/SERVICE"),
    ({"MEW_REDIS_URL": "redis://{replica_port}"}, "MEW_REDIS_URL", "publications need the master"),
    ({"MEW_REDIS_URL": "rediss://{redis_port}"}, "MEW_REDIS_URL", "cannot connect to"),
    ({"MEW_REDIS_URL": "rediss://{redis_port}?ssl_ca_certs=/no/ca.pem"}, "MEW_REDIS_URL", "there is no file"),
    ({"MEW_REDIS_URL": "{untrusted}"}, "MEW_REDIS_URL", "name the authority with ssl_ca_certs=FILE"),
]


@pytest.fixture(scope="module")
def addresses(
    tmp_path_factory: pytest.TempPathFactory,
    redis_places: RedisPlaces,
    redis_cluster_processes: RedisClusterProcesses,
    redis_sentinel_service: RedisSentinel,
) -> Iterator[Mapping[str, str]]:
    folder = tmp_path_factory.mktemp("keys")
    with wrong_places(folder, redis_places, redis_cluster_processes, redis_sentinel_service) as found:
        yield found


def check(environ: Mapping[str, str], *options: str) -> tuple[int, list[tuple[str, str]], Any]:
    """Run the command. Returns the exit code, the problems, and the whole report."""
    done = CliRunner(env=environ).invoke(main, ["check", "--json", *options])
    assert SECRET not in done.output
    assert PASSWORD not in done.output
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    report = json.loads(done.stdout)
    problems = [(each["variable"], each["text"]) for one in report["checks"] for each in one["problems"]]
    assert report["fine"] == (not problems)
    return done.exit_code, problems, report


@pytest.mark.parametrize(
    ("environ", "variable", "remedy"), [*VARIABLES, *SECRETS_AND_KEYS, *ORIGINS_AND_LIMITS, *REDIS]
)
def test_a_wrong_configuration_is_reported_with_its_variable_and_the_remedy(
    environ: dict[str, str], variable: str, remedy: str, addresses: Mapping[str, str]
) -> None:
    filled = {name: text.format_map(addresses) for name, text in environ.items()}
    code, problems, _ = check(RIGHT | filled, "--timeout", "0.6" if "silent" in str(environ) else "10")
    assert code == 1
    assert {name for name, _ in problems} == {variable}
    assert any(remedy in text for _, text in problems), problems


PRODUCTION = {
    "MEW_JWT_ALGORITHMS": "HS512",
    "MEW_ADMIN_SECRET": SECRET[::-1],
    "WS_AUTH_TOKEN": SECRET[:16],
    "MEW_CORS_ORIGINS": "https://app.example.com,https://*.example.com,capacitor://localhost",
    "MEW_TRUSTED_PROXIES": "10.0.0.0/8",
    "MEW_SESSIONS": "100",
    "MEW_REDIS_PREFIX": PREFIX,
    "CORS_ORIGIN": "",
}


@pytest.mark.parametrize("place", PLACES)
def test_a_right_configuration_has_no_problem_wherever_redis_is(place: str, addresses: Mapping[str, str]) -> None:
    code, problems, report = check(RIGHT | PRODUCTION | {"MEW_REDIS_URL": addresses[f"at_{place}"]}, "--timeout", "20")
    assert (code, problems) == (0, [])
    assert report["checks"][-1]["result"] == "answers, permits every command, and evicts nothing"


@pytest.mark.parametrize(
    "environ",
    [
        {"MEW_JWKS_URL": "{keys}", "MEW_JWT_ALGORITHMS": "RS256,ES256"},
        {"MEW_JWT_PUBLIC_KEY": "{public_file}"},
        {"MEW_DEV": "true", "MEW_CORS_ORIGINS": "*,http://localhost:*", "WS_ALLOW_DEMO_TOKEN": "true"},
        {"MEW_DEV": "true", "MEW_JWT_SECRET": "short"},
    ],
)
def test_other_right_configurations_have_no_problem(environ: dict[str, str], addresses: Mapping[str, str]) -> None:
    filled = {name: text.format_map(addresses) for name, text in environ.items()}
    assert check(filled)[:2] == (0, [])


def test_every_problem_is_reported_at_once(addresses: Mapping[str, str]) -> None:
    environ = {
        "MEW_PING_TIMEOUT": "-1",
        "MEW_TRANSPORTS": "pigeon",
        "MEW_JWT_SECRET": SECRET,
        "MEW_JWKS_URL": f"http://{addresses['nothing']}/",
        "MEW_REDIS_URL": f"redis://{addresses['nothing']}",
        "MEW_REDS_URL": "",
    }
    _, problems, _ = check(environ)
    assert sorted(name for name, _ in problems) == sorted([*environ])


def test_development_variables_are_problems_in_production() -> None:
    environ = {"MEW_DEV": "true", "MEW_JWT_SECRET": "short", "MEW_CORS_ORIGINS": "*", "WS_ALLOW_DEMO_TOKEN": "true"}
    assert check(environ)[:2] == (0, [])
    code, problems, _ = check(environ, "--production")
    assert code == 1
    assert {name for name, _ in problems} == environ.keys()
    _, problems, _ = check({"MEW_DEV": "true"}, "--production")
    assert [name for name, _ in problems] == ["MEW_DEV", "MEW_JWT_SECRET"]
    code, problems, _ = check({"MEW_JWT_SECRET": SECRET, "MEW_CORS_ORIGINS": "*"}, "--development")
    assert (code, problems) == (0, [])


def test_an_app_with_its_own_authenticators_needs_no_key() -> None:
    assert check({})[0] == 1
    assert check({}, "--without-jwt-key")[:2] == (0, [])


def test_expected_connections_are_compared_with_the_open_files() -> None:
    assert check(RIGHT, "--connections", "10")[0] == 0
    code, problems, _ = check(RIGHT | {"MEW_SESSIONS": "10"}, "--connections", "2000000000")
    assert (code, [name for name, _ in problems]) == (1, ["ulimit -n"])


def test_an_old_package_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, version in (("uvicorn", "0.9.1rc1"), ("redis", "5.0.8"), ("websockets", "15.0")):
        folder = tmp_path / f"{name}-{version}.dist-info"
        folder.mkdir()
        (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    monkeypatch.syspath_prepend(tmp_path)
    _, problems, _ = check(RIGHT)
    needed = map(Requirement, importlib.metadata.requires("asgi_realtime") or [])
    oldest = {each.name: str(each.specifier).removeprefix(">=") for each in needed}
    assert sorted(problems) == [
        (name, f"{name} {old} is too old; install {oldest[name]} or newer: pip install '{name}>={oldest[name]}'")
        for name, old in (("redis", "5.0.8"), ("uvicorn", "0.9.1rc1"))
    ]


async def test_people_read_a_table_and_each_step_that_uses_the_network(addresses: Mapping[str, str]) -> None:
    environ = RIGHT | {"MEW_REDIS_URL": f"redis://{addresses['nothing']}", "MEW_COLOUR": "red"}
    code, output, errors = await command(environ, "check", "--timeout", "3")
    assert code == 1
    assert errors == "asking the Redis of MEW_REDIS_URL, at most 3 s\n"
    assert "MEW_COLOUR     MEW_COLOUR has no effect, because there is no such variable" in output
    assert "\x1b" not in output
    code, output, errors = await command(RIGHT, "check")
    assert (code, output.splitlines()[-1], errors) == (0, "No problems found.", "")


def test_on_a_terminal_problems_are_red_and_the_running_step_is_shown(addresses: Mapping[str, str]) -> None:
    environ = {"MEW_REDIS_URL": f"redis://{addresses['nothing']}"}
    colourful = on_a_terminal(RIGHT | environ, "check")
    assert "\x1b[31mMEW_REDIS_URL" in colourful
    assert "\x1b[32mvariables" in colourful
    assert "asking the Redis of MEW_REDIS_URL, at most 5 s" in colourful
    plain = on_a_terminal(RIGHT | environ | {"NO_COLOR": "1"}, "check")
    assert "1 problem" in plain
    assert not re.search(r"\x1b\[3[0-9]m", plain)


@pytest.mark.parametrize("options", [["--timeout", "0"], ["--timeout", "61"], ["--connections", "0"], ["extra"]])
def test_wrong_usage_has_its_own_exit_code(options: list[str]) -> None:
    assert CliRunner(env=RIGHT).invoke(main, ["check", *options]).exit_code == 2


def test_the_check_leaves_nothing_behind(redis_places: RedisPlaces, addresses: Mapping[str, str]) -> None:
    assert check(RIGHT | PRODUCTION | {"MEW_REDIS_URL": addresses["at_socket"]})[0] == 0
    with redis_places("socket").client() as client:
        kept = {key: client.pttl(key) for key in client.keys(f"{PREFIX}:*")}
    assert [key for key, milliseconds in kept.items() if milliseconds == -1] == []  # -2: it has expired since
