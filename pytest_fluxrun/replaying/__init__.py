"""Replaying: the session that answers from a recording. Never makes a live call."""
