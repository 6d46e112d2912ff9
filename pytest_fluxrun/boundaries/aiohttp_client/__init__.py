"""Parts of the aiohttp boundary: a request as it goes out, a hop live and played, errors, websockets."""
