"""Execution: one run in, one outcome out. Used by every face; knows neither pytest nor a terminal."""
