"""What boundaries of one sort have in common, one file per kind; each holds a module-level instance. No I/O, no library."""
