"""Each private name of another package that is relied on: why, which version, when it can go."""
