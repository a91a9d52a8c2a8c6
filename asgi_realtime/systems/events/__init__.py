"""Events (PROTOCOLS.md, section 2)."""
