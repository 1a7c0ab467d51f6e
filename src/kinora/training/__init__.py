"""Libraries of clips, objectives, the loop, checkpoints."""
