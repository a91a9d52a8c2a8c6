"""The Mew example in several processes behind one port, joined by a Redis of its own."""
