"""Module 3, words to meaning: tokenizer, text encoder, prompt check."""
