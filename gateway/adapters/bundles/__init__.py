"""Policy bundles out, decision logs in."""
