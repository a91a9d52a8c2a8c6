"""The events of a gateway and the types of their payloads, for writers of client types in any language."""
