"""Recovery: a client that loses its connection and returns gets the events that it missed."""
