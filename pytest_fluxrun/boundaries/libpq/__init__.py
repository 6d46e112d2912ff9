"""Parts of the psycopg boundary: what libpq is sent, what it answers, and a connection that plays. Patches nothing."""
