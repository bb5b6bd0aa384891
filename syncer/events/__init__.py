"""What happened, as typed events: what kinds there are, and the journal that keeps them."""
