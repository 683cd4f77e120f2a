"""Loggers: what the files say, once more for TensorBoard and wandb. They read files alone (docs/adr/0017)."""
