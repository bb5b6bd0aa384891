"""A node's own state in one file, and its way back."""
