"""An existing Flask app, all of it synchronous, with chat and workflow status on WebSockets."""
