"""The composition root: builds a node from its rooms, starts, supervises and stops it."""
