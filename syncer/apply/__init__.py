"""From received changes to failover's disk: stage, verify, flush, one short burst, flush."""
