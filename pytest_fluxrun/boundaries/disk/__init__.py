"""What the boundaries of files and of processes share: which directories are the program's own."""
