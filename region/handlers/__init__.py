"""What each kind of task does in a region; one file a kind, and one table of them all (`table`)."""
