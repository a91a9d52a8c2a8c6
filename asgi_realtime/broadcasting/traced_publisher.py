"""A publisher that makes a span for each broadcast and each command."""

from __future__ import annotations

from asgi_realtime.broadcasting.publisher import Publisher
from asgi_realtime.tracing import Tracing
from asgi_realtime.tracing.attributes import BODY_SIZE, COMMAND, MESSAGE_ID, common_attributes
from asgi_realtime.tracing.broadcast_spans import describe
from asgi_realtime.values.commands import Command
from asgi_realtime.values.publications import Publication, Receipt
from asgi_realtime.values.traced_publication import traced


class TracedPublisher(Publisher):
    """The publisher of a process that traces. A broadcast carries the context of its span, if that is sampled."""

    tracing: Tracing

    async def publish(self, publication: Publication, *, key: str | None = None) -> Receipt:
        """Publish what is encoded already. See `Publisher.publish`."""
        name, attributes = describe("publish", publication)
        attributes[BODY_SIZE.name] = len(publication.payload) + sum(map(len, publication.attachments))
        span = self.tracing.publish(name, attributes)
        try:
            context = span.context
            if context is not None:
                publication = traced(publication, context)
            receipt = await super().publish(publication, key=key)
            if receipt.position is not None:
                span.set(MESSAGE_ID.name, receipt.position)
            return receipt
        except BaseException as error:
            span.fail(error)
            raise
        finally:
            span.end()

    async def command(self, command: Command, *, wait: bool = False) -> None:
        """Send a command to every process. See `Publisher.command`. It carries no context."""
        gateway: str | None = getattr(command, "gateway", None)
        kind = str(command.__struct_config__.tag)
        attributes = common_attributes("command", gateway) | {COMMAND.name: kind}
        span = self.tracing.publish(f"command {kind}" if gateway is None else f"command {gateway} {kind}", attributes)
        try:
            await super().command(command, wait=wait)
        except BaseException as error:
            span.fail(error)
            raise
        finally:
            span.end()
