"""The stages of a region: receive, execute, report; and what it serves."""
