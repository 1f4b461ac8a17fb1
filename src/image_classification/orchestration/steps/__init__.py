"""What each task does, a file per part of the night."""
