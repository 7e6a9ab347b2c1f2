"""YAML to frozen objects; every error at once, with file and line."""
