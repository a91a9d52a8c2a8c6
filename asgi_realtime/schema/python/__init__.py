"""Python clients of gateways, made from their declarations."""
