"""A small shop: orders, coupons, payments. The service that FluxRun's demo records and replays."""
