"""Envoy, by its admin interface."""
