"""Whom a DAG run tells what, and what its note says."""
