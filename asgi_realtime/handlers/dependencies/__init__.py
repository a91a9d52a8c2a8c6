"""Dependencies of handlers: `Depends` of FastAPI and of this package, and those of a Litestar app by name."""
