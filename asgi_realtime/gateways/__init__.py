"""Gateways: the two kinds to write one's own, and those of the systems that come with the package."""
