"""Parts of asyncpg's boundary: the server's messages as Values, what a connection knows, the transport that plays."""
