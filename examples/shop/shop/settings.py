"""What the environment says about this installation, read once at import. No other module reads it, but for orders."""

from __future__ import annotations

import os

DATABASE_PATH = os.environ.get("SHOP_DATABASE", "shop.db")
PAYMENTS_URL = os.environ.get("SHOP_PAYMENTS_URL", "http://127.0.0.1:8001")
WEBHOOK_SECRET = os.environ.get("SHOP_WEBHOOK_SECRET", "whsec_development_only").encode()
