"""Parts that HTTP boundaries share: an answer as it is recorded and played, and failures that any library can raise.

Patches nothing and knows no library. The stored form is one for all, so that a call recorded through one library
answers code that now uses another.
"""
