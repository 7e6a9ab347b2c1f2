"""The record as CSV, written as it is read."""
