"""A small physical theatre with exact truth: scenes, physics, captions, pixels."""
