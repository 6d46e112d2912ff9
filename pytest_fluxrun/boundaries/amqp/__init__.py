"""AMQP 0-9-1, whatever library speaks it: how its methods are compared and shown, and what answers them locally."""
