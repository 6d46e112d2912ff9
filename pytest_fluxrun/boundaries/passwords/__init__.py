"""What the boundaries of password libraries share: passwords and hashes are redacted, so that no replay can check them.

Records nothing by itself and knows no library.
"""
