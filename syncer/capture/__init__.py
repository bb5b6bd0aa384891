"""From a changing tree to rows of the index: hints, settling, scanning."""
