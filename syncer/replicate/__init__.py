"""From production's index to failover's disk: one stream a domain and target."""
