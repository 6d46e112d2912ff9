"""Judgement: guard files and the runs that they pin, how outcomes differ, and the verdict."""
