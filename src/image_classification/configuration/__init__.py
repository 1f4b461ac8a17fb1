"""The parameters and their schema, and what the YAML files may call."""
