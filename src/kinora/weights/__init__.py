"""Models on disk: manifests that need no torch, and tensors in hashed safetensors shards."""
