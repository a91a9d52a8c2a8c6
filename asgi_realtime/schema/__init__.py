"""Client types made from event declarations."""
