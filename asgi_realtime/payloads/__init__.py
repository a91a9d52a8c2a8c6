"""Payloads: host values to JSON and `bytes`, and decoded JSON to the types of handlers."""
