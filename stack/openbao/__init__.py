"""OpenBao: one for the global side and one for each region."""
