"""What production knows of its trees: one row a path, each with the seq of its latest change."""
