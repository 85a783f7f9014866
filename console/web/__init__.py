"""The console in a browser: pages made on the server, by calls of the public API with the person's own token."""
