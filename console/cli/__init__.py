"""The command line, `orbital`: Click for the grammar, Rich for the terminal."""
