"""What the boundary of nats-py is made of: the forms of its calls, and a transport without a network."""
