"""Wire protocols without I/O: bytes or text in, values out, and back."""
