"""Engine.IO v4 without I/O: packets and heartbeats."""
