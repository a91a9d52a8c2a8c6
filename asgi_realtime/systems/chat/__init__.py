"""Chat (PROTOCOLS.md, section 3)."""
