"""Parts that websocket boundaries share: one connection's messages, and their stored form. Patches nothing."""
