"""Kedro pipelines: one package each, nodes beside their wiring."""
