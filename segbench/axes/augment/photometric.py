"""Changes of brightness, colour, noise and sharpness; the mask stays as it is.

Each by itself with p = .5: brightness and contrast up to .2, hue +-20, saturation +-30 and value +-20
(of 180, 255, 255), gamma 80 to 120; with p = .2 Gaussian noise of sd .02 to .1 of the range, with p = .2 a
Gaussian blur of sd .5 to 1.5 px.
"""

PRESET = {
    "transforms": {
        "steps": [
            {"RandomBrightnessContrast": {"p": 0.5}},
            {
                "HueSaturationValue": {
                    "hue_shift_limit": 20,
                    "sat_shift_limit": 30,
                    "val_shift_limit": 20,
                    "p": 0.5,
                }
            },
            {"RandomGamma": {"gamma_limit": [80, 120], "p": 0.5}},
            {"GaussNoise": {"std_range": [0.02, 0.1], "p": 0.2}},
            {"GaussianBlur": {"sigma_limit": [0.5, 1.5], "p": 0.2}},
        ]
    }
}
