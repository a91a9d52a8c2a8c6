"""Authentication: origins, CORS, tokens, keys and revocations."""
