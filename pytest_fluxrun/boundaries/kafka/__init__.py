"""Kafka, whatever library speaks to it: how what is produced is compared and shown; errors as plain data."""
