"""A promotion in isolation: on copies of the trees, which nobody else sees."""
