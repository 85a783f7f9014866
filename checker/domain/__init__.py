"""Pure: from samples to flags."""
