"""May the challenger be champion? Pure functions of tables, numbers and a policy."""
