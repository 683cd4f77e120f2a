"""Use of saved trials: on new images, and on the data they were trained with."""
