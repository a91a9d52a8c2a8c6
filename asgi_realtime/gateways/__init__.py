"""The framework for gateways: `SocketIOGateway` and `WebSocketGateway`, and their common base."""
