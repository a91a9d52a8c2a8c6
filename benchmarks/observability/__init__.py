"""What metrics and tracing cost, and that they cost nothing where they are not used."""
