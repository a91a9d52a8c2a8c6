"""The floors of the design: a module imports from its own floor or a lower one, and imports make no circle."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "asgi_realtime"

FLOORS = (
    {
        *(
            "close_codes",
            "contention",
            "errors",
            "field_types",
            "host_calls",
            "event_names",
            "ids",
            "keys",
            "lent_thread",
            "limits",
            "loop_calls",
            "messages",
            "metrics",
            "origin_patterns",
            "rfc6455",
            "settings",
            "stand_in",
            "tasks",
            "text",
            "trusted_proxies",
        ),
        *("threads", "timestamps", "turns"),
    },
    {
        "annotation_metadata",
        "annotations",
        "auth",
        "budgets",
        "catalogue",
        "claims",
        "event_rates",
        "fail_fast",
        "frame_transport",
        "http_errors",
        "json_text",
        "jwks",
        "jwks_fetch",
        "model_dumps",
        "origins",
        "refusal_log",
        "plain_values",
        "revocations",
        "sinks",
        "typed_dicts",
        "validation",
        "validation_errors",
    },
    {"broker", "presence"},
    {
        *("batch", "connection", "entries", "frame_writing", "hub", "inbox", "json_dialect", "outbox", "recipients"),
        *("refresh", "rooms", "stock_hypercorn", "stock_reading", "stock_uvicorn", "writer"),
    },
    {"broadcaster", "faces", "sync_broadcaster", "sync_connection"},
    {"gateways"},
    {"engineio", "socketio", "websocket"},
    {"failed_start", "mounting", "realtime", "shutdown"},
    {
        "middleware",
        "wsgi",
        "uvicorn",
        "cors",
        "inflation",
        "lifespan",
        "testing",
        "typescript",
        "cli",
        "socketio.asgi_app",
        "__main__",
        "",
    },
)
"""Names below the package, each with what lies below it; "" is the package itself."""


def modules() -> dict[str, Path]:
    """Every module by its name below the package."""
    found = {}
    for path in PACKAGE.rglob("*.py"):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        found[".".join(part for part in parts if part != "__init__")] = path
    return found


MODULES = modules()


def floor_of(module: str) -> int:
    """The floor of the longest name that is listed.

    Raises:
        LookupError: for a module that belongs to none.
    """
    name = module
    while True:
        for number, names in enumerate(FLOORS):
            if name in names and (name or not module):
                return number
        if not name:
            raise LookupError(f"{module} belongs to no floor: put it on one, here and in the design")
        name = name.rpartition(".")[0]


def imports(module: str, *, inside_functions: bool) -> Iterator[str]:
    """The modules of the package that a module imports when it runs, types aside."""
    pending: list[ast.AST] = [ast.parse(MODULES[module].read_text(encoding="utf-8"))]
    while pending:
        node = pending.pop()
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            pending.extend(node.orelse)
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and not inside_functions:
            continue
        elif isinstance(node, ast.Import):
            yield from (below(alias.name) for alias in node.names if alias.name.split(".")[0] == PACKAGE.name)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module}: imports are absolute"
            if node.module is not None and node.module.split(".")[0] == PACKAGE.name:
                for alias in node.names:
                    inner = below(f"{node.module}.{alias.name}")
                    yield inner if inner in MODULES else below(node.module)
        else:
            pending.extend(ast.iter_child_nodes(node))


def below(name: str) -> str:
    """A module's name without the package's."""
    return name.partition(".")[2]


@pytest.mark.parametrize("module", sorted(MODULES))
def test_a_module_imports_from_its_own_floor_or_a_lower_one(module: str) -> None:
    upward = [other for other in imports(module, inside_functions=True) if floor_of(other) > floor_of(module)]
    assert not upward, f"{module} is on floor {floor_of(module)}"


def test_no_module_is_listed_that_does_not_exist() -> None:
    assert {name for names in FLOORS for name in names} <= set(MODULES)


def test_imports_make_no_circle() -> None:
    graph: Mapping[str, set[str]] = {module: set(imports(module, inside_functions=False)) for module in MODULES}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(" → ".join(error.args[1]))


@pytest.mark.parametrize("module", sorted(MODULES))
def test_the_environment_is_read_in_one_place(module: str) -> None:
    names = {
        node.attr
        for node in ast.walk(ast.parse(MODULES[module].read_text(encoding="utf-8")))
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "os"
    }
    assert not names & {"environ", "getenv", "environb"} or module == "settings"
