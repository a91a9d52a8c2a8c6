"""Jobs (PROTOCOLS.md, section 4)."""
