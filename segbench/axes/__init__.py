"""What an ablation can vary: one folder an axis, one file a variant."""
