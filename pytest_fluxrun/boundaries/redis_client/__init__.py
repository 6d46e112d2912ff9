"""Parts of redis-py's boundary: what is on the wire, what a connection is in a run, and its seams. Patches nothing."""
