"""Parts of the boundary of gRPC: an answer as it is recorded, and the calls that play one to grpc's own Python code."""
