"""Who is who: the authority, the certificates and their renewal, and the token issuer."""
