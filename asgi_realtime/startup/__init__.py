"""From a host's arguments to a running gateway: what may be mounted, lifespan, signals, failures."""
