"""What the boundary of paho-mqtt is made of: the forms of its calls and packets, and a socket without a network."""
