"""Who is champion, since when, why, and how that changes."""
