"""What of production's addresses still stands on failover, where, and why."""
