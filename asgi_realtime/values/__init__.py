"""Frozen values that travel between the floors: ids, identities, publications, commands. No I/O, no wire form."""
