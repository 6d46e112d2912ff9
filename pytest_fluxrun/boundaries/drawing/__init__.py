"""Parts of the boundaries of randomness that CPython's own modules don't give. Patches nothing."""
