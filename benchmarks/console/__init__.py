"""`python -m benchmarks.console`: what an open console costs, and how fast it shows an app with many connections."""
