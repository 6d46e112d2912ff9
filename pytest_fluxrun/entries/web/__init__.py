"""What entries of web applications share: forms of requests and answers. No way of starting a run is in here."""
