"""Module 4, video to meaning: the scene reader and the colour judge."""
