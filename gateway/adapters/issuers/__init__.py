"""Issuers of tokens: their keys are fetched over HTTPS, kept in files, and given to Envoy."""
