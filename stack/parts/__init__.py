"""The parts of a stack, one module each."""
