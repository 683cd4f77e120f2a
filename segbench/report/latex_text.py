"""Plain text as LaTeX: every character either printed or spelled, no label can break a compilation."""

from __future__ import annotations

import unicodedata
from typing import Final

_SPECIAL: Final = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "$": r"\$",
    "&": r"\&",
    "#": r"\#",
    "%": r"\%",
    "_": r"\_",
    "^": r"\textasciicircum{}",
    "~": r"\textasciitilde{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': r"\textquotedbl{}",
    "'": "'",
    "`": r"\textasciigrave{}",
    "[": "{[}",
    "]": "{]}",
    "\n": " ",
    "\t": " ",
}
_SYMBOLS: Final = {
    "−": r"\ensuremath{-}",
    "±": r"\ensuremath{\pm}",
    "×": r"\ensuremath{\times}",
    "·": r"\ensuremath{\cdot}",
    "≥": r"\ensuremath{\geq}",
    "≤": r"\ensuremath{\leq}",
    "≠": r"\ensuremath{\neq}",
    "≈": r"\ensuremath{\approx}",
    "∞": r"\ensuremath{\infty}",
    "→": r"\ensuremath{\rightarrow}",
    "←": r"\ensuremath{\leftarrow}",
    "°": r"\textdegree{}",
    "µ": r"\textmu{}",
    "½": r"\ensuremath{\frac{1}{2}}",
    "¼": r"\ensuremath{\frac{1}{4}}",
    "¾": r"\ensuremath{\frac{3}{4}}",
    "²": r"\ensuremath{^2}",
    "³": r"\ensuremath{^3}",
    "…": r"\ldots{}",
    "–": r"\textendash{}",
    "—": r"\textemdash{}",
    "‘": r"\textquoteleft{}",
    "’": r"\textquoteright{}",
    "“": r"\textquotedblleft{}",
    "”": r"\textquotedblright{}",
    "•": r"\textbullet{}",
    "€": r"\texteuro{}",
    "✓": r"\ensuremath{\surd}",
    "✗": r"\ensuremath{\times}",
    "\u00a0": "~",
    "\u202f": r"\,",
    "\u2009": r"\,",
    "\u200b": "",
}
_GREEK_LIKE_LATIN: Final = dict(zip("οΑΒΕΖΗΙΚΜΝΟΡΤΧ", "oABEZHIKMNOPTX", strict=True))
_GREEK_COMMANDS: Final = {"ε": "varepsilon", "φ": "varphi", "ς": "varsigma", "λ": "lambda", "Λ": "Lambda"}
"""Letters whose command is not their name in Unicode, which calls lambda LAMDA."""


def _greek(letter: str) -> str:
    """Return a letter as TeX knows it: its command, or the Latin letter that looks the same."""
    if letter in _GREEK_LIKE_LATIN:
        return _GREEK_LIKE_LATIN[letter]
    name = unicodedata.name(letter).removeprefix("GREEK SMALL LETTER ").removeprefix("GREEK CAPITAL LETTER ")
    command = _GREEK_COMMANDS.get(letter, name.lower() if letter.islower() else name.title())
    return rf"\ensuremath{{\{command}}}"


_GREEK: Final = {letter: _greek(letter) for letter in "αβγδεζηθικλμνξοπρςστυφχψωΑΒΓΔΕΖΗΘΙΚΛΜΝΞΟΠΡΣΤΥΦΧΨΩ"}


def escape(text: str) -> str:
    """Return text that prints as it is under T1 fonts and utf8 input.

    Latin letters with accents pass; Greek and common symbols become mathematics; anything else becomes its
    nearest Latin letters or, where there are none, its code such as `[U+65E5]`.
    """
    return "".join(_character(character) for character in text)


def _character(character: str) -> str:
    for table in (_SPECIAL, _SYMBOLS, _GREEK):
        if character in table:
            return table[character]
    number = ord(character)
    if 0x20 <= number < 0x7F:
        return character
    if number < 0x20 or 0x7F <= number < 0xA0:
        return ""
    if 0xC0 <= number <= 0x17F and unicodedata.category(character) in ("Lu", "Ll"):
        return character
    decomposed = unicodedata.normalize("NFKD", character)
    if decomposed != character:
        return "".join(_character(part) for part in decomposed)
    if unicodedata.combining(character):
        return ""
    return f"{{[}}U+{number:04X}{{]}}"
