"""Parts of the sqlite3 boundary: what a statement did, and what a statement is. Patches nothing."""
