"""A publication that carries the trace context of its publisher."""

from __future__ import annotations

import msgspec

from asgi_realtime.tracing.trace_context import TraceContext
from asgi_realtime.values.publications import Publication


class TracedPublication(Publication, frozen=True, gc=False, kw_only=True):
    """A publication with the context of the span in which it was published. That span is sampled.

    A class of its own, so that the publications of apps without tracing have nothing more.
    """

    trace: TraceContext


def traced(publication: Publication, trace: TraceContext) -> TracedPublication:
    """The same publication with a trace context."""
    return TracedPublication(**(msgspec.structs.asdict(publication) | {"trace": trace}))
