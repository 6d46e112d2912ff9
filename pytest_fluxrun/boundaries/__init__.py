"""One file per library, both directions in it: what is recorded and how it is given back. Found by file name.

A file here imports its library only where a patch is made, and never another layer's session.
"""
