"""What the flow needs from outside."""
