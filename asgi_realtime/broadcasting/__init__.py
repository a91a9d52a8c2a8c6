"""What host code sends with: `Broadcaster`, its form for threads, and the base of typed broadcasters."""
