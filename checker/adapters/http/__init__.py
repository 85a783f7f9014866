"""What is served locally."""
