"""Names that a gateway's subclass may not take, because the gateway itself uses them."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping

from asgi_realtime.errors import ConfigurationError
from asgi_realtime.handlers.event_handlers import events_of

HOOKS = ("on_start", "on_connect", "on_disconnect", "on_online", "on_offline")
OVERRIDABLE = frozenset(
    {
        *HOOKS,
        # Called by the gateway, and defined by its subclass
        *("extra_origins", "rooms_of", "default_authenticator", "dispatch", "recipient_filter"),
        *("connection_opened", "recovered_identity"),
        # What clients receive
        *("send_refusal", "accepted_frame", "rejected_frame", "early_frame", "pong_frame", "error_frame"),
        "ack_frame",
        *("close_code", "has_credential"),
        # Declarations
        *("events", "omitted", "failure", "token_sources", "recovery", "include_in_schema", "wire"),
    }
)
"""Names of the gateway that a subclass may override, but not use for an event handler."""

_PACKAGE = __name__.partition(".")[0] + "."
_MISSING = object()


def check_names(gateway: type) -> None:
    """Refuse a class one of whose attributes would replace something that the gateway needs, or would never be called.

    The package's own classes may replace any attribute. A mixin counts as part of the class.

    Raises:
        ConfigurationError: naming the class, the attributes and every reserved name.
    """
    hosts = [kind for kind in gateway.__mro__ if _is_of_a_host(kind)]
    for kind in hosts:
        _check_hooks(kind, gateway)
        _check_once(kind)
    wrong = [name for kind in hosts for name in _collisions(kind, gateway)]
    if not wrong:
        return
    names = ", ".join(repr(name) for name in dict.fromkeys(wrong))
    raise ConfigurationError(
        f"class {gateway.__qualname__}: {names} would replace a part of the gateway; choose another name for the "
        "method or attribute (the name of an event is free: @on(...)). "
        f"Reserved are: {', '.join(reserved_names(gateway))}"
    )


def check_attributes(gateway: object, known: Mapping[str, object]) -> None:
    """Refuse a gateway one of whose attributes replaces a method or a private attribute that the gateway needs.

    Args:
        gateway: the gateway.
        known: the private attributes that the package has set (see `private_attributes`).

    Raises:
        ConfigurationError: naming the class and the attribute.
    """
    kind = type(gateway)
    private = _private_names(kind)
    for name, value in vars(gateway).items():
        replaced = name not in OVERRIDABLE and any(_is_own(other) and name in vars(other) for other in kind.__mro__)
        if replaced or (name in private and known.get(name, _MISSING) is not value):
            raise ConfigurationError(
                f"{kind.__qualname__}: the attribute {name!r} would replace a part of the gateway; choose another name"
            )


def private_attributes(gateway: object) -> dict[str, object]:
    """The private attributes of a gateway that the package's classes declare, with their present values."""
    private = _private_names(type(gateway))
    return {name: value for name, value in vars(gateway).items() if name in private}


def reserved_names(gateway: type) -> list[str]:
    """The public names that neither a handler nor another attribute of a subclass may have, sorted."""
    names = {name for kind in gateway.__mro__ if _is_own(kind) for name in vars(kind)}
    return sorted(name for name in names - OVERRIDABLE if not name.startswith("_"))


def _collisions(kind: type, gateway: type) -> Iterator[str]:
    private = _private_names(gateway)
    yield from (name for name in inspect.get_annotations(kind) if name in private and name not in vars(kind))
    for name, member in vars(kind).items():
        if name in private:
            yield name
        if name.startswith("__") or _is_mangled(name, gateway):
            continue
        own = next((vars(other)[name] for other in gateway.__mro__ if _is_own(other) and name in vars(other)), None)
        if own is None:
            continue
        events, own_events = events_of(member), events_of(own)
        if own_events:
            # A handler may be replaced, for the events that it is for.
            allowed = not events or set(own_events) <= set(events)
        else:
            allowed = not events and name in OVERRIDABLE
        if not allowed:
            yield name


def _check_hooks(kind: type, gateway: type) -> None:
    for name, member in vars(kind).items():
        known = any(_is_own(other) and name in vars(other) for other in gateway.__mro__)
        if name.startswith("on_") and callable(member) and not events_of(member) and not known:
            event = name.removeprefix("on_")
            raise ConfigurationError(
                f"class {gateway.__qualname__}: {name} would never be called. The hooks are {', '.join(HOOKS)}; "
                f'the handler of an event is marked with @on("{event}")'
            )


def _check_once(kind: type) -> None:
    """Refuse a class with two handlers of one event: one of them would never be called."""
    methods: dict[str, str] = {}
    for name, member in vars(kind).items():
        for event in events_of(member):
            if event in methods and vars(kind)[methods[event]] is not member:
                raise ConfigurationError(
                    f"class {kind.__qualname__}: {methods[event]} and {name} both handle {event!r}; an event has one "
                    "handler"
                )
            methods[event] = name


def _private_names(gateway: type) -> set[str]:
    """The private attributes that the package's classes declare. What one class alone uses is mangled (`__name`)."""
    return {
        name
        for kind in gateway.__mro__
        if _is_own(kind)
        for name in inspect.get_annotations(kind)
        if name.startswith("_") and not _is_mangled(name, gateway)
    }


def _is_mangled(name: str, gateway: type) -> bool:
    """Whether Python made this name of a `__name` in one of the package's classes. A host's class may have it too."""
    return any(_is_own(kind) and name.startswith(f"_{kind.__name__}__") for kind in gateway.__mro__)


def _is_own(kind: type) -> bool:
    return kind.__module__.startswith(_PACKAGE)


def _is_of_a_host(kind: type) -> bool:
    return not _is_own(kind) and kind is not object
