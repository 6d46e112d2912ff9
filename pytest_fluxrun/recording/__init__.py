"""Recording: the session that production runs talk to, what is kept, and how it leaves the process.

Rules (DESIGN 12): never raises into the host, never blocks it, holds bounded memory, counts what it drops by reason.
"""
