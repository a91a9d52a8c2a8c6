"""Payloads: encodes values of the host as JSON and `bytes`, and converts decoded JSON to the types of handlers."""
