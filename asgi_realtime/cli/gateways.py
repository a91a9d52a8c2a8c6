"""The gateways of a command: those that its arguments name, or all gateways of the package."""

from __future__ import annotations

import importlib
import pkgutil
from types import ModuleType

import click

from asgi_realtime import systems
from asgi_realtime.errors import ConfigurationError
from asgi_realtime.gateways.base import Gateway
from asgi_realtime.schema.gateway_kinds import AnyGateway


def packaged_gateways() -> list[type[Gateway]]:
    """The gateway classes that the systems of this package export."""
    modules = [importlib.import_module(each.name) for each in pkgutil.iter_modules(systems.__path__, _PREFIX)]
    return [kind for module in modules for kind in _exported_gateways(module)]


_PREFIX = f"{systems.__name__}."


def _exported_gateways(module: ModuleType) -> list[type[Gateway]]:
    exported = [getattr(module, name) for name in module.__all__]
    return [value for value in exported if isinstance(value, type) and issubclass(value, Gateway)]


def gateway_named(name: str) -> AnyGateway:
    """The gateway that an argument names as MODULE:GATEWAY, class or instance.

    An exception while the module is imported is shown with its traceback.

    Raises:
        click.BadParameter: if there is no such gateway.
    """
    module, _, attribute = name.partition(":")
    if not attribute or not all(part.isidentifier() for part in module.split(".")):
        raise click.BadParameter(f"{name}: write MODULE:GATEWAY, such as app.gateways:ChatRoom")
    try:
        imported = importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{module}.".startswith(f"{error.name}."):
            raise
        raise click.BadParameter(
            f"{name}: there is no module {error.name}; run this in the directory that contains it"
        ) from None
    if not hasattr(imported, attribute):
        there = [each for each, value in vars(imported).items() if _is_defined_in(imported, value)]
        raise click.BadParameter(f"{name}: {module} has no {attribute}; its gateways are: {', '.join(there) or 'none'}")
    found = getattr(imported, attribute)
    if not _is_gateway(found):
        kind = f"the class {found.__name__}" if isinstance(found, type) else f"a {type(found).__name__}"
        raise click.BadParameter(f"{name} is {kind}, not a gateway; give a gateway class or instance")
    if isinstance(found, Gateway):
        try:
            found.check_attributes()
        except ConfigurationError as error:
            raise click.BadParameter(f"{name}: {error}") from None
    gateway: AnyGateway = found
    return gateway


def _is_gateway(value: object) -> bool:
    return isinstance(value, Gateway) or (isinstance(value, type) and issubclass(value, Gateway))


def _is_defined_in(module: ModuleType, value: object) -> bool:
    """Whether a value is a gateway of this module: an instance, or a class that is not imported from elsewhere."""
    return _is_gateway(value) and (not isinstance(value, type) or value.__module__ == module.__name__)
