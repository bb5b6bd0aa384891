"""node.db, the node's precious state: identity, mode, term, base, cursors, peers, invitations."""
