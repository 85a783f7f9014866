"""What the flow needs of the world, as Protocols."""
