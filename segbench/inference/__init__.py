"""Use of saved trials: on new images, and on the data they were trained with.

A batch holds as many pixels as `batch_size` squares of the training size, so memory does not grow with the
images, except under `whole`. Only `_start` and `_forward` of `predictor.py` call PyTorch, so the threads
that read and write files start none of its own (docs/adr/0021, docs/predicting.md).
"""
