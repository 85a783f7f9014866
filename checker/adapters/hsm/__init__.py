"""The HSM, in a process of its own."""
