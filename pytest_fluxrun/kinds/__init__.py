"""What boundaries of one sort have in common; each file holds a module-level instance. No I/O, no library."""
