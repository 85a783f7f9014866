"""What the flow needs from outside, as Protocols."""
