"""What stock servers (uvicorn, hypercorn) offer below ASGI, recognised by type."""
