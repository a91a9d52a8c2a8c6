"""`python -m benchmarks.recovery`: what it costs that clients recover missed events, and how fast they return."""
