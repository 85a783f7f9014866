"""What the flow needs of the world."""
