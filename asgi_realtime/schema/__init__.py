"""Client types and AsyncAPI documents, made from event declarations."""
