"""A hub that makes a span for each broadcast that it delivers."""

from __future__ import annotations

from asgi_realtime.hub.hub import Hub
from asgi_realtime.tracing import Tracing
from asgi_realtime.tracing.attributes import RECIPIENTS
from asgi_realtime.tracing.broadcast_spans import describe
from asgi_realtime.values.publications import Publication
from asgi_realtime.values.traced_publication import TracedPublication


class TracedHub(Hub):
    """The hub of a process that traces. One span is for all recipients. A broadcast that is not sampled has none."""

    tracing: Tracing

    def deliver(self, publication: Publication) -> int:
        """Write a publication to its recipients in this process. Returns their number. See `Hub.deliver`."""
        if not isinstance(publication, TracedPublication):
            return super().deliver(publication)
        span = self.tracing.deliver(*describe("deliver", publication), publication.trace)
        try:
            recipients = super().deliver(publication)
            span.set(RECIPIENTS.name, recipients)
            return recipients
        except BaseException as error:
            span.fail(error)
            raise
        finally:
            span.end()
