"""AsyncAPI documents of gateways, made from their declarations."""
