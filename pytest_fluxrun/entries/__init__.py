"""One file per way of starting a run, `wrap` and `drive` together; each exposes its instance as `entry`."""
