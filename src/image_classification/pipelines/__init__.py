"""The Kedro pipelines: a package for each, with its nodes and their wiring."""
