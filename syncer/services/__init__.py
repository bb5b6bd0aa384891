"""The configured commands of a domain: run with a time limit, its output bounded and redacted."""
