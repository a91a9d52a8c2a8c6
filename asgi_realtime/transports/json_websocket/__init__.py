"""JSON WebSockets: `endpoint` accepts them, `peer` serves each client, `authentication` lets it in."""
