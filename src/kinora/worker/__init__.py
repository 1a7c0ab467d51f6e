"""The process that runs models for the service."""
