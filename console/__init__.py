"""What people use: clients of the public API alone."""
