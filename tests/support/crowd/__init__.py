"""Programs that hold thousands of clients, for tests. They run as processes of their own."""
