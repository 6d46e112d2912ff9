"""FluxRun's boundary for acme_queue."""
