"""Augmentations of reference study R0: flips, rotation, and mild changes of colour.

HFlip .5, VFlip .5, Rotate(30) .5, RandomBrightnessContrast .2, HueSaturationValue(20, 30, 20) .2,
RGBShift(15) .2, RandomGamma(80 to 120) .2, as the study states them. What it does not state is
albumentations' default: brightness and contrast up to .2, black where a rotation uncovers the frame.

Reference:
    Buslaev et al., 2020, Information 11(2):125 (albumentations), which the study used.
"""

PRESET = {
    "transforms": {
        "steps": [
            "HorizontalFlip",
            "VerticalFlip",
            {"Rotate": {"limit": 30, "p": 0.5}},
            {"RandomBrightnessContrast": {"p": 0.2}},
            {
                "HueSaturationValue": {
                    "hue_shift_limit": 20,
                    "sat_shift_limit": 30,
                    "val_shift_limit": 20,
                    "p": 0.2,
                }
            },
            {"RGBShift": {"r_shift_limit": 15, "g_shift_limit": 15, "b_shift_limit": 15, "p": 0.2}},
            {"RandomGamma": {"gamma_limit": [80, 120], "p": 0.2}},
        ]
    }
}
