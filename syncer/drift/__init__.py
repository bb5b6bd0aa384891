"""Local edits on a receiver: noticed, recorded, told, and put back where that is wanted."""
