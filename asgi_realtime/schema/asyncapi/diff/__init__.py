"""What changed between two AsyncAPI documents, and whether it breaks clients."""
