"""Smooth random deformation of image and mask together.

p = .5: displacements of every pixel, uniform in +-1, smoothed by a Gaussian of sd 6 px and multiplied
by 120 px, which gives an sd of about 3 px at any size; what comes from outside the frame is black and
background.

Reference:
    Simard et al., 2003, ICDAR; for segmentation Ronneberger et al., 2015, arXiv:1505.04597.
"""

PRESET = {"transforms": {"steps": [{"ElasticTransform": {"alpha": 120, "sigma": 6, "p": 0.5}}]}}
