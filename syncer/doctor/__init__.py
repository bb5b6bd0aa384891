"""Preflight: looks at everything that a node needs, changes nothing, and says what is wrong and how to cure it."""
