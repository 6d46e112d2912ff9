"""Parts of psycopg2's boundary: subclasses of connection and cursor, what they record, quoting without libpq."""
