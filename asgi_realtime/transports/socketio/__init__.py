"""Socket.IO clients on Engine.IO sessions."""
