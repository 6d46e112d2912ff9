"""A run in forms that other tools read: a plain pytest file, a curl command, HAR 1.2. Text out; no I/O."""
