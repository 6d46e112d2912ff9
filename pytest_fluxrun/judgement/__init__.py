"""Judgement: what a guard expects, how outcomes differ, and the verdict. Pure data in, data out; guard files are read here."""
