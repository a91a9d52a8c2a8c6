"""All metrics. `docs/reference/metrics.md` has the same table, and a test compares them."""

from __future__ import annotations

from typing import Final

from asgi_realtime.metrics.metric import BY_THE_APP, OTHER, Metric

_GATEWAY: Final = {"gateway": BY_THE_APP}
_TRANSPORTS: Final = ("polling", "websocket")
_SESSION_ENDS: Final = (
    "client close",
    "transport close",
    "ping timeout",
    "parse error",
    "transport error",
    "too slow",
    "forced close",
    OTHER,
)
_CLOSE_CODES: Final = (*map(str, (1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014)), OTHER)
NO_CODE: Final = "none"
_REFUSALS: Final = (
    "UNAUTHORIZED",
    "FORBIDDEN",
    "INVALID_MESSAGE",
    "RATE_LIMITED",
    "TOO_LARGE",
    "POSITION_LOST",
    "REFUSED",
    "INTERNAL",
    OTHER,
)
"""The codes of refusals. A host may make others."""
_SECONDS: Final = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)
_CONNECTION_ENDS: Final = ("client disconnect", "server disconnect", "idle", *_SESSION_ENDS)

# Clients

CONNECTIONS: Final = Metric(
    name="connections", kind="gauge", labels=_GATEWAY, help="connections that are open or being opened"
)
OPENED: Final = Metric(
    name="opened_total",
    kind="counter",
    labels=_GATEWAY,
    help="connections that the gateway let in. On a JSON gateway, each is a WebSocket",
)
REFUSED_CONNECTIONS: Final = Metric(
    name="refused_connections_total",
    kind="counter",
    labels=_GATEWAY | {"reason": ("ORIGIN", "FULL", "UNAVAILABLE", "DISCONNECT", *_REFUSALS)},
    help="clients that were not let in. `reason` is the code of the refusal (`INTERNAL`: a failure of your code), or "
    "`ORIGIN`: the page's origin is not allowed; `FULL`: as many connections as `MEW_SESSIONS` or "
    "`MEW_SESSIONS_PER_ADDRESS` allows; `UNAVAILABLE`: the broker did not answer; `DISCONNECT`: your code raised "
    "`Disconnect`. For requests that Socket.IO refuses before a namespace is known, `gateway` is the path of Socket.IO",
)
CLOSED: Final = Metric(
    name="closed_total",
    kind="counter",
    labels=_GATEWAY | {"reason": _CONNECTION_ENDS, "code": (NO_CODE, *_CLOSE_CODES)},
    help="connections that have ended. `reason` is the one that `on_disconnect` gets: see "
    "[How a connection ends](../start/concepts.md#how-a-connection-ends). `code` is the close code, or `none` if the "
    "client or its transport ended first",
)
EVENTS: Final = Metric(
    name="events_total",
    kind="counter",
    labels=_GATEWAY | {"event": BY_THE_APP},
    help="events of clients that were within `MEW_EVENT_RATE`. `event` is a name that has a handler; all other names "
    "are `other`",
)
HANDLER_SECONDS: Final = Metric(
    name="handler_seconds",
    kind="histogram",
    unit="seconds",
    labels=_GATEWAY | {"event": BY_THE_APP},
    buckets=_SECONDS,
    help="time of a handler from its first wait to its end. Handlers that do not wait are not in it: what they take is "
    "in `loop_lag_seconds`",
)
REFUSED_EVENTS: Final = Metric(
    name="refused_events_total",
    kind="counter",
    labels=_GATEWAY | {"code": _REFUSALS},
    help="events that were answered with a refusal. `code` is that of the refusal (`INTERNAL`: a failure of your code)",
)
RECOVERIES: Final = Metric(
    name="recoveries_total",
    kind="counter",
    labels=_GATEWAY | {"result": ("recovered", "new session")},
    help="clients that came back and asked for the session of an earlier connection: see "
    "[When a client does not recover](../guides/recovery.md#when-a-client-does-not-recover)",
)
ENGINEIO_SESSIONS: Final = Metric(
    name="engineio_sessions",
    kind="gauge",
    labels={"transport": _TRANSPORTS},
    help="open Engine.IO sessions: one for each Socket.IO client, whatever number of namespaces it uses. `transport` "
    "carries it now",
)
ENGINEIO_SESSIONS_OPENED: Final = Metric(
    name="engineio_sessions_opened_total",
    kind="counter",
    labels={"transport": _TRANSPORTS},
    help="sessions that were opened, by their first transport",
)
ENGINEIO_SESSIONS_CLOSED: Final = Metric(
    name="engineio_sessions_closed_total",
    kind="counter",
    labels={"reason": _SESSION_ENDS},
    help="sessions that have ended",
)
OVER_BUDGET: Final = Metric(
    name="over_budget_total",
    kind="counter",
    labels={"budget": ("attempts", "control")},
    help="clients that were closed because they sent too much without an event: `attempts` (`MEW_ATTEMPT_RATE`) or "
    "`control` (`MEW_CONTROL_RATE`)",
)

# Broadcasts

PUBLISH_SECONDS: Final = Metric(
    name="publish_seconds",
    kind="histogram",
    unit="seconds",
    labels=_GATEWAY,
    buckets=(0.0001, 0.0002, 0.0005, *_SECONDS),
    help="time of a broadcast until it is written to the clients of this process, and is in Redis, if there is one. "
    "The number of observations is the number of broadcasts that this process has published",
)
PUBLISH_FAILURES: Final = Metric(
    name="publish_failures_total",
    kind="counter",
    labels=_GATEWAY,
    help="broadcasts that raised `BrokerUnavailable`",
)
BROADCAST_RECIPIENTS: Final = Metric(
    name="broadcast_recipients",
    kind="histogram",
    labels=_GATEWAY,
    buckets=(0, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000),
    help="clients of this process that a broadcast of any process was for",
)
BROADCAST_FRAMES: Final = Metric(
    name="broadcast_frames_total",
    kind="counter",
    help="broadcasts that were sent or are held, each counted for every client of this process that gets it",
)
BROADCAST_BYTES: Final = Metric(
    name="broadcast_bytes_total",
    kind="counter",
    unit="bytes",
    help="their bytes, without the headers of WebSocket frames and before compression",
)
CLIENT_FRAMES: Final = Metric(
    name="client_frames_total",
    kind="counter",
    help="what was sent to one client alone: events of `connection.send`, acknowledgements, answers and errors",
)
CLIENT_BYTES: Final = Metric(
    name="client_bytes_total",
    kind="counter",
    unit="bytes",
    help="their bytes, counted in the same way",
)
OUTBOX_BYTES: Final = Metric(
    name="outbox_bytes",
    kind="gauge",
    unit="bytes",
    help="bytes that wait for clients that read slowly. With many clients it is up to some seconds old",
)

# Several processes

PRESENCE_USERS: Final = Metric(
    name="presence_users",
    kind="gauge",
    labels=_GATEWAY,
    help="users with connections to this process",
)
BROKER_LAG_SECONDS: Final = Metric(
    name="broker_lag_seconds",
    kind="histogram",
    unit="seconds",
    labels=_GATEWAY,
    buckets=_SECONDS,
    help="time from the publication of a broadcast in Redis to its delivery in this process. It includes the "
    "difference between the two clocks. Volatile broadcasts are not in it",
)

SUBSCRIPTIONS: Final = Metric(
    name="subscriptions",
    kind="gauge",
    help="rooms, users and gateways that this process is subscribed to at the broker",
)
SUBSCRIPTION_FAILURES: Final = Metric(
    name="subscription_failures_total",
    kind="counter",
    help="subscriptions that the broker did not confirm in time. The clients concerned are refused",
)
RELAYED_REQUESTS: Final = Metric(
    name="relayed_requests_total",
    kind="counter",
    labels={"transport": _TRANSPORTS},
    help="polls and POSTs (`polling`) and upgraded WebSockets (`websocket`) that arrived here and belong to a session "
    "of another process: see [Several processes](../operations/running.md#several-processes)",
)
RELAYS: Final = Metric(name="relays", kind="gauge", help="such requests that are being relayed")
RELAYS_LOST: Final = Metric(
    name="relays_lost_total",
    kind="counter",
    help="relays that ended because the other process or Redis was gone",
)
BROKER_GAPS: Final = Metric(
    name="broker_gaps_total",
    kind="counter",
    labels=_GATEWAY,
    help="times that a message of Redis was missing although the connection stood",
)
BROKER_REPAIRED: Final = Metric(
    name="broker_repaired_total",
    kind="counter",
    labels=_GATEWAY,
    help="missed messages that were read from history in Redis and delivered",
)
BROKER_RESYNCS: Final = Metric(
    name="broker_resyncs_total",
    kind="counter",
    labels=_GATEWAY,
    help="times that history did not reach back, so that clients got `realtime:resync`",
)
BROKER_COMMANDS_LOST: Final = Metric(
    name="broker_commands_lost_total",
    kind="counter",
    labels=_GATEWAY,
    help="times that commands may be missing, so that the clients were closed with 1012 and connected again: see "
    "[When Redis is away](../operations/running.md#when-redis-is-away)",
)
REDIS_RECONNECTS: Final = Metric(
    name="redis_reconnects_total",
    kind="counter",
    help="connections to Redis that were lost, and attempts to connect that failed",
)
REDIS_PROBE_FAILURES: Final = Metric(
    name="redis_probe_failures_total",
    kind="counter",
    help="connections to Redis that were replaced because no message came through them",
)
OUTAGE_QUEUE: Final = Metric(
    name="outage_queue",
    kind="gauge",
    help="broadcasts that wait until Redis is back (`MEW_ON_BROKER_DOWN=local`)",
)

# The process

LOOP_LAG_SECONDS: Final = Metric(
    name="loop_lag_seconds",
    kind="histogram",
    unit="seconds",
    buckets=_SECONDS,
    help="how late the event loop calls a timer, measured once a second. Code that blocks is seen here",
)
TASKS: Final = Metric(
    name="tasks", kind="gauge", help="tasks of this package that run: of handlers that wait, of hooks, and its own"
)
DRAIN_TIMEOUTS: Final = Metric(
    name="drain_timeouts_total",
    kind="counter",
    help="stops at which handlers were cancelled because they ran longer than `MEW_DRAIN_TIMEOUT`",
)

METRICS: Final = tuple([declared for declared in list(globals().values()) if isinstance(declared, Metric)])
"""All of them."""
