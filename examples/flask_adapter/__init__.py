"""An existing Flask app, synchronous throughout, with a chat and a workflow beside it on WebSockets."""
