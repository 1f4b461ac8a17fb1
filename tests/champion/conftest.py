"""A store of MLflow that is made once and put back before each test."""

from registry_store import shared_store, store

__all__ = ["shared_store", "store"]
