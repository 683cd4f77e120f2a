"""Training and measuring one trial: tensors in, records out; nothing here writes to disk."""
