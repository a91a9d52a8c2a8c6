"""The settings of an environment, with every problem in them, not only the first one."""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import threading
from collections.abc import Iterator, Mapping

from asgi_realtime.checks.problem import Problem, problem_of
from asgi_realtime.errors import ConfigurationError
from asgi_realtime.settings import Settings, unknown_variables

_DEV = "MEW_DEV"
_KEYS = ("MEW_JWT_SECRET", "MEW_JWT_PUBLIC_KEY", "MEW_JWKS_URL")


@dataclasses.dataclass(frozen=True, slots=True)
class Configuration:
    """An environment as the package reads it."""

    settings: Settings
    """Of the variables that can be used. The others have their defaults."""
    given: frozenset[str]
    """The variables that are set, not empty, and can be used."""
    production: bool
    """Whether what is allowed in development only is a problem."""
    problems: tuple[Problem, ...]

    def has(self, variable: str) -> bool:
        """Whether a variable is set."""
        return variable in self.given


def read_configuration(
    environ: Mapping[str, str], *, production: bool | None = None, needs_jwt_key: bool = True
) -> Configuration:
    """Read the settings, and collect what `Settings` refuses or warns of.

    `production` None: unless `MEW_DEV` is on.
    """
    problems = []
    kept = dict(environ)
    for name, near in unknown_variables(environ).items():
        del kept[name]
        hint = f"did you mean {near}?" if near else "remove it; the page on configuration lists all variables"
        problems.append(Problem(name, f"{name} has no effect, because there is no such variable; {hint}"))
    settings, kept, found, warnings = _read(kept)
    if production and settings.dev:
        problems.append(
            Problem(_DEV, "MEW_DEV is on in production: weak and random secrets are accepted; remove the variable")
        )
        del kept[_DEV]
        settings, kept, again, warnings = _read(kept)
        found += again
    problems += found
    problems += [each for each in warnings if each.variable != _DEV]
    if needs_jwt_key and not any(each.variable in _KEYS for each in found):
        try:
            settings.require_jwt_key()
        except ConfigurationError as error:
            problems.append(problem_of(str(error)))
    return Configuration(
        settings=settings,
        given=frozenset(name for name, text in kept.items() if text.strip()),
        production=not settings.dev if production is None else production,
        problems=tuple(problems),
    )


def _read(environ: Mapping[str, str]) -> tuple[Settings, dict[str, str], list[Problem], list[Problem]]:
    """The settings, the variables that can be used, the errors about the others, and the warnings.

    `Settings` raises for the first variable that cannot work. So it is read again without that one, until it works.
    """
    kept = dict(environ)
    errors: list[Problem] = []
    while True:
        with _logged_warnings() as warnings:
            try:
                return Settings.from_env(kept), kept, errors, [problem_of(each) for each in warnings]
            except ConfigurationError as error:
                errors.append(problem_of(str(error)))
        if kept.pop(errors[-1].variable, None) is None:  # it is none of these variables: no other attempt can work
            return Settings(), kept, errors, []


@contextlib.contextmanager
def _logged_warnings() -> Iterator[list[str]]:
    """Within the block, the package's log messages of this thread are put into a list instead of the log."""
    logger, thread, found = logging.getLogger("asgi_realtime"), threading.get_ident(), list[str]()

    def keep(record: logging.LogRecord) -> bool:
        if record.thread != thread:
            return True
        found.append(record.getMessage())
        return False

    logger.addFilter(keep)
    try:
        yield found
    finally:
        logger.removeFilter(keep)
