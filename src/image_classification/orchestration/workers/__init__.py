"""Workers whose tasks find the heavy libraries already imported."""
