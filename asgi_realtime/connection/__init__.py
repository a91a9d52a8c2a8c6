"""One client on one gateway."""
