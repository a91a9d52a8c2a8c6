"""Mew and Infra (PROTOCOLS.md, section 1)."""
