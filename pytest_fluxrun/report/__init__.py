"""Reports: judgements and runs as text for people. Data in, text out."""
