"""Augmentations of reference study R2: a flip, a crop, an affine map, changes of colour in the image alone.

HFlip, RandomResizedCrop, RandomAffine, ColorJitter. The study states no parameters; chosen here: flip
.5; crop of .8 to 1 of the area, ratio .75 to 1.33, always; affine map of +-10 degrees, translation
+-.05, scale .9 to 1.1, always, black where it uncovers the frame; brightness, contrast and saturation
up to .2, hue up to .05, always.
"""

PRESET = {
    "transforms": {
        "steps": [
            "HorizontalFlip",
            {"RandomResizedCrop": {"size": "size_px", "scale": [0.8, 1.0], "ratio": [0.75, 1.33]}},
            {
                "Affine": {
                    "translate_percent": [-0.05, 0.05],
                    "scale": [0.9, 1.1],
                    "rotate": [-10, 10],
                    "keep_ratio": True,
                    "p": 1.0,
                }
            },
            {
                "ColorJitter": {
                    "brightness": [0.8, 1.2],
                    "contrast": [0.8, 1.2],
                    "saturation": [0.8, 1.2],
                    "hue": [-0.05, 0.05],
                    "p": 1.0,
                }
            },
        ]
    }
}
