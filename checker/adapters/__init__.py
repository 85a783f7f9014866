"""What is behind the ports."""
