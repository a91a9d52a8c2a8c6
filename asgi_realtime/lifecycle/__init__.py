"""Start-up and shutdown: checks of arguments, lifespan, signals and failures."""
