"""JSON WebSockets: `endpoint` lets clients in, `client` serves each."""
