"""Answers that a program left before their end, whatever library gave them: HTTP bodies, messages of a call, rows."""
