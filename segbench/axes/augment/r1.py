"""Augmentation of reference study R1: one random affine map.

Affine(translate +-.1, scale .8 to 1.2, rotate +-30 degrees) .5; one scale for both directions. Not stated,
and chosen here: translation drawn for each direction, black (and background) where the map uncovers the
frame, as in torchvision's RandomAffine.
"""

PRESET = {
    "transforms": {
        "steps": [
            {
                "Affine": {
                    "translate_percent": [-0.1, 0.1],
                    "scale": [0.8, 1.2],
                    "rotate": [-30, 30],
                    "keep_ratio": True,
                    "p": 0.5,
                }
            }
        ]
    }
}
