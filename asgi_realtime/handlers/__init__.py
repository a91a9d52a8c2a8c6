"""Event handlers: declarations, injected parameters, rates."""
