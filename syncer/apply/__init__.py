"""Applies a transaction to a domain's disk: staged and verified first, then made visible in one burst."""
