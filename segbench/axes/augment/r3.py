"""Augmentations of reference study R3: at most one of each of four groups.

OneOf[RandomResizedCrop(scale .8 to 1, ratio .75 to 1.33), Rotate 30] .5; OneOf[HFlip, VFlip] .5;
OneOf[BrightnessContrast, Gamma] .3; OneOf[GaussNoise, GaussianBlur] .2. Within a group both are as
likely. What the study does not state is albumentations' default: brightness and contrast up to .2,
gamma 80 to 120, black where a rotation uncovers the frame, noise of sd .2 to .44 of the range (strong:
albumentations before 2.0 had about .01 to .03), blur of sd .5 to 3 px.
"""

PRESET = {
    "transforms": {
        "steps": [
            {
                "OneOf": {
                    "transforms": [
                        {
                            "RandomResizedCrop": {
                                "size": "size_px",
                                "scale": [0.8, 1.0],
                                "ratio": [0.75, 1.33],
                                "p": 1.0,
                            }
                        },
                        {"Rotate": {"limit": 30, "p": 1.0}},
                    ],
                    "p": 0.5,
                }
            },
            {
                "OneOf": {
                    "transforms": [{"HorizontalFlip": {"p": 1.0}}, {"VerticalFlip": {"p": 1.0}}],
                    "p": 0.5,
                }
            },
            {
                "OneOf": {
                    "transforms": [{"RandomBrightnessContrast": {"p": 1.0}}, {"RandomGamma": {"p": 1.0}}],
                    "p": 0.3,
                }
            },
            {
                "OneOf": {
                    "transforms": [{"GaussNoise": {"p": 1.0}}, {"GaussianBlur": {"p": 1.0}}],
                    "p": 0.2,
                }
            },
        ]
    }
}
