"""`python -m benchmarks.cluster`: what a broadcast costs when it goes through Redis to other processes."""
