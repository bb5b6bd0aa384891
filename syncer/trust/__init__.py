"""Trust between nodes: identities, pairing by one-time token, mutual TLS 1.3 with pinned certificates."""
