"""Where the gateway meets real servers."""
