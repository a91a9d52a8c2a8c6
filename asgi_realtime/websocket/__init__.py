"""JSON WebSockets: `endpoint` lets clients in, `newcomers` waits for their tokens, `client` serves each."""
