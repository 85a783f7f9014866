"""The region's identity: its token, its key, its certificate."""
