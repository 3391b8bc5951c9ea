"""The pipeline: decode, join, gauge, alerts, the transactional log, the worker and the commands."""
