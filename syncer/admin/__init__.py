"""How commands reach a node: over the agent's Unix socket, or in the same process where no agent runs."""
