"""Complete runs as functions: each returns or carries out everything from configuration to a trained part on disk."""
