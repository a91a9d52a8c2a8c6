"""Wire protocols without I/O: they decode bytes or text to values, and encode values."""
