"""Image files to arrays: any common format, any mode, upright."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image, ImageFile, ImageOps

from segbench.errors import DataError, message

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp", ".gif", ".npy")


def read_pixels(file: Path) -> np.ndarray:
    """Read an image as it is stored, turned upright by its EXIF orientation.

    Returns:
        (H,W,3) uint8 for everything of 8 bits (alpha is dropped), and (H,W) or (H,W,C) of the stored type,
        such as uint16 or float32, for everything deeper.

    Raises:
        DataError: The file is missing, corrupt or no image.
    """
    if file.suffix.lower() == ".npy":
        pixels = _read_array(file)
        return _to_rgb_array(pixels) if pixels.dtype == np.uint8 else pixels
    with _open(file) as image:
        if _is_deep(image):
            return _read_deep(file)
        try:
            return np.asarray(ImageOps.exif_transpose(image).convert("RGB"))
        except _DECODE_ERRORS as error:
            raise _corrupt(file, error) from error


def read_labels(file: Path) -> np.ndarray:
    """Read the values of a mask, (H,W): palette indices, grey values, or what equal colour channels share.

    Raises:
        DataError: The file is missing, corrupt or no image, or its colours are no grey values.
    """
    if file.suffix.lower() == ".npy":
        return _one_channel(_read_array(file), file)
    with _open(file) as image:
        if _is_deep(image):
            return _one_channel(_read_deep(file), file)
        try:
            upright = ImageOps.exif_transpose(image)
            if upright.mode in ("P", "L"):
                return np.asarray(upright)
            if upright.mode == "1":
                return np.asarray(upright).astype(np.uint8)
            if upright.mode == "LA":
                return np.asarray(upright)[..., 0]
            return _one_channel(np.asarray(upright.convert("RGB")), file)
        except _DECODE_ERRORS as error:
            raise _corrupt(file, error) from error


def read_size(file: Path) -> tuple[int, int]:
    """Return (height, width) of an upright image from its head alone."""
    if file.suffix.lower() == ".npy":
        height, width = np.load(file, mmap_mode="r").shape[:2]
        return height, width
    with _open(file) as image:
        width, height = image.size
        turned = image.getexif().get(0x0112, 1) in (5, 6, 7, 8)
        return (width, height) if turned else (height, width)


_DECODE_ERRORS = (OSError, SyntaxError, ValueError, EOFError, Image.DecompressionBombError)


def _open(file: Path) -> ImageFile.ImageFile:
    try:
        return Image.open(file)
    except FileNotFoundError as error:
        raise DataError(message(str(file), "the image is missing")) from error
    except _DECODE_ERRORS as error:
        raise _corrupt(file, error) from error


def _is_deep(image: ImageFile.ImageFile) -> bool:
    if image.mode.startswith(("I", "F")):
        return True
    # Pillow reads 16-bit colour PNGs as 8-bit without a word; only the raw mode tells
    return image.format == "PNG" and any("16B" in str(tile[3]) for tile in image.tile)


def _read_deep(file: Path) -> np.ndarray:
    import cv2

    pixels = cv2.imdecode(np.fromfile(file, np.uint8), cv2.IMREAD_UNCHANGED)
    if pixels is None:
        try:
            with Image.open(file) as image:
                return np.asarray(image)
        except _DECODE_ERRORS as error:
            raise _corrupt(file, error) from error
    if pixels.ndim == 3:
        pixels = pixels[..., :3][..., ::-1]  # OpenCV's order is BGR
    return np.ascontiguousarray(pixels)


def _read_array(file: Path) -> np.ndarray:
    try:
        pixels: np.ndarray = np.load(file, allow_pickle=False)
    except FileNotFoundError as error:
        raise DataError(message(str(file), "the image is missing")) from error
    except (OSError, ValueError, EOFError) as error:
        raise _corrupt(file, error) from error
    if pixels.dtype == bool:
        pixels = pixels.astype(np.uint8)
    if pixels.ndim not in (2, 3) or (pixels.ndim == 3 and pixels.shape[2] not in (1, 3, 4)):
        raise DataError(
            message(str(file), "an array must be (H,W) or (H,W,C) with 1, 3 or 4 channels", got=pixels.shape)
        )
    return (
        pixels[..., 0]
        if pixels.ndim == 3 and pixels.shape[2] == 1
        else pixels[..., :3]
        if pixels.ndim == 3
        else pixels
    )


def _to_rgb_array(pixels: np.ndarray) -> np.ndarray:
    return np.repeat(pixels[..., None], 3, axis=2) if pixels.ndim == 2 else pixels


def _one_channel(pixels: np.ndarray, file: Path) -> np.ndarray:
    if pixels.ndim == 2:
        return pixels
    if not ((pixels[..., 0] == pixels[..., 1]).all() and (pixels[..., 0] == pixels[..., 2]).all()):
        colours = np.unique(pixels.reshape(-1, pixels.shape[2]), axis=0)
        raise DataError(
            message(
                str(file),
                f"a mask must be grey or indexed, but this one has {len(colours)} colours",
                got=tuple(int(c) for c in colours[-1]),
                see="Save the classes as grey values or palette indices",
            )
        )
    return pixels[..., 0]


def _corrupt(file: Path, error: Exception) -> DataError:
    reason = "no format that Pillow knows" if "cannot identify" in str(error) else str(error)
    return DataError(message(str(file), f"the image cannot be decoded ({reason})"))
