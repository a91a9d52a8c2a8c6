"""The same small chat in each framework: one file each, and one page for all."""
