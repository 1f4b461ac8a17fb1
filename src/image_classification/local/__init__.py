"""Services and demonstration on one machine."""
