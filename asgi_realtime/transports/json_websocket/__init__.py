"""JSON WebSockets: `endpoint` lets clients in, `auth_deadlines` waits for their tokens, `client` serves each."""
