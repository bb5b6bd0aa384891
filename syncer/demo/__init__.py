"""Two real nodes on loopback, in front of your eyes: edits, interruptions, measured lag, proven equality."""
