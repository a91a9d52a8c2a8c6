"""Who may connect: origins, CORS, tokens, keys and revocations."""
