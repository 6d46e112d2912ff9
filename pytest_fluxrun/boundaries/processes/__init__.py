"""What the boundaries of processes share: how a start is told, and what came of it."""
