"""Parts of the boundary websockets: its handshake, its closing, its asyncio client and its sync one."""
