"""Production's addresses become failover's, and back: the rules, and the rewriting of bytes by them."""
