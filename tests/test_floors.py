"""The floors of the design: a module imports from its own floor or a lower one, and imports have no cycle."""

from __future__ import annotations

import ast
import functools
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.support.paths import PACKAGE

FLOORS = (
    ("values", "errors", "limits", "metrics", "payloads", "runtime", "tracing", "variables"),
    ("auth", "protocols", "settings"),
    ("answers", "backends", "broker", "outbound", "presence", "redis"),
    ("connection", "hub", "recovery"),
    ("broadcasting", "handlers"),
    ("gateways", "systems"),
    ("transports",),
    ("checks", "lifecycle", "realtime"),
    (
        "",
        "__main__",
        "cli",
        "client",
        "console",
        "django",
        "exports",
        "health",
        "litestar",
        "middleware",
        "pytest_plugin",
        "schema",
        "socketio",
        "testing",
        "uvicorn",
        "wsgi",
    ),
)
"""Folders and files directly below the package; "" is the package itself."""
FLOOR = {name: number for number, names in enumerate(FLOORS) for name in names}


def modules() -> dict[str, Path]:
    """Every module by its name below the package."""
    found = {}
    for path in PACKAGE.rglob("*.py"):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        found[".".join(part for part in parts if part != "__init__")] = path
    return found


MODULES = modules()


class Facts(NamedTuple):
    """What a module imports and names."""

    imports: frozenset[str]
    """The modules of the package that it imports: when it is loaded, within a function, or for its types."""
    names: frozenset[str]
    """The names that it uses, defines or imports, and attributes with the name before them."""


@functools.cache
def facts(module: str) -> Facts:
    """Read a module. Only the processes that run these tests do, and each of them once."""
    nodes = list(ast.walk(ast.parse(MODULES[module].read_text(encoding="utf-8"))))
    return Facts(frozenset(imports(module, nodes)) - {module}, frozenset(names(nodes)))


def imports(module: str, nodes: list[ast.AST]) -> Iterator[str]:
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from (below(alias.name) for alias in node.names if alias.name.split(".")[0] == PACKAGE.name)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module}: imports are absolute"
            if node.module is not None and node.module.split(".")[0] == PACKAGE.name:
                for alias in node.names:
                    inner = below(f"{node.module}.{alias.name}")
                    yield inner if inner in MODULES else below(node.module)


def below(name: str) -> str:
    """A module's name without the package's."""
    return name.partition(".")[2]


def top(module: str) -> str:
    """The folder or file directly below the package that a module lies in."""
    return module.partition(".")[0]


def names(nodes: list[ast.AST]) -> Iterator[str]:
    for node in nodes:
        if isinstance(node, ast.Name):
            yield node.id
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            yield f"{node.value.id}.{node.attr}"
        elif isinstance(node, ast.ClassDef | ast.alias):
            yield node.name


@pytest.mark.parametrize("module", sorted(MODULES))
def test_a_module_imports_from_its_own_floor_or_a_lower_one(module: str) -> None:
    own = FLOOR[top(module)]
    assert not {other for other in facts(module).imports if FLOOR[top(other)] > own}, f"{module} is on floor {own}"


def test_every_folder_has_a_floor_and_every_floor_its_folders() -> None:
    assert {top(module) for module in MODULES} == set(FLOOR)


@pytest.mark.parametrize("module", sorted(module for module in MODULES if top(module) == "protocols"))
def test_protocols_import_only_values(module: str) -> None:
    assert not {other for other in facts(module).imports if top(other) != "protocols" and FLOOR[top(other)] > 0}


@pytest.mark.parametrize(
    ("user", "used"),
    [("transports.json_websocket", "transports.engineio"), ("values", "protocols"), ("hub", "transports")],
)
def test_independent_folders_do_not_import_each_other(user: str, used: str) -> None:
    users = [module for module in MODULES if module == user or module.startswith(f"{user}.")]
    assert users
    assert not {other for module in users for other in facts(module).imports if f"{other}.".startswith(f"{used}.")}


@pytest.mark.parametrize("module", sorted(MODULES))
def test_only_the_exports_of_the_package_name_a_system(module: str) -> None:
    """A system is `systems.<name>`. It imports no other system, and no other module imports it."""
    own = ".".join(module.split(".")[:2]) if top(module) == "systems" else module
    named = {".".join(other.split(".")[:2]) for other in facts(module).imports if other.startswith("systems.")}
    assert module == "exports" or named <= {own}


def test_there_are_no_import_cycles() -> None:
    # The package re-exports names of modules above and below.
    graph = {module: {other for other in facts(module).imports if other} for module in MODULES}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(" → ".join(error.args[1]))


@pytest.mark.parametrize("module", sorted(MODULES))
def test_the_environment_is_read_in_one_place(module: str) -> None:
    assert module == "settings" or not facts(module).names & {"os.environ", "os.getenv", "os.environb"}


DOORS = {
    "_enter_task": {"runtime.standby_task"},
    "StandbyTask": {"runtime.standby_task"},
    "StandbyTasks": {"runtime.standby_task", "runtime.tasks"},
    "GilBackoff": {"outbound.gil_backoff", "outbound.fan_out"},
    "Sinks": {"outbound.fan_out", "hub.recipients"},
    "RoomSet": {"connection.room_set", "connection.connection"},
    "os.write": {"outbound.fan_out"},
}
"""What performance tricks are made of, and the modules that may use it: the one that explains it, and its user."""


@pytest.mark.parametrize("name", DOORS)
def test_a_performance_trick_is_named_only_by_its_module_and_its_user(name: str) -> None:
    assert {module for module in MODULES if name in facts(module).names} == DOORS[name]
