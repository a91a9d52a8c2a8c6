"""Presence beyond its contract."""
