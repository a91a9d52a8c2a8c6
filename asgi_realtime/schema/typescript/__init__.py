"""TypeScript types of gateways' events, made from their declarations."""
