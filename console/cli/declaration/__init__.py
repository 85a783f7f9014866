"""Files of declarations: YAML in, resources of the contract out, and every mistake named by file, line and field."""
