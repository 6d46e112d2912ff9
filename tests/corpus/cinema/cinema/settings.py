"""What the environment says about this installation, read once at import."""

from __future__ import annotations

import os

DATABASE_PATH = os.environ.get("CINEMA_DATABASE", "cinema.db")
PROVIDER_URL = os.environ.get("CINEMA_PROVIDER_URL", "http://127.0.0.1:8001")
WEBHOOK_SECRET = os.environ.get("CINEMA_WEBHOOK_SECRET", "whsec_development_only").encode()
