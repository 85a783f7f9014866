"""What the message broker asks before it lets anybody in."""
