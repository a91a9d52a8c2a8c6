"""One module per system under test, with an ASGI `app` that lets clients in and serves `POST /broadcast/…`."""
