"""Programs that measure us and our peers in one run, and print ratios."""
