"""Programs that measure asgi_realtime and other packages in one session."""
