"""L1 keys and the region's root key, in an HSM."""
