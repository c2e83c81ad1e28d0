"""This module holds small tables of general knowledge. Nothing in them depends on the day or is disputed.

Within a table no answer occurs in another one as a word, so that a reply names one option or several, never one by
naming another.
"""

from __future__ import annotations

from typing import Final

CAPITALS: Final[dict[str, str]] = {
    "Albania": "Tirana",
    "Argentina": "Buenos Aires",
    "Armenia": "Yerevan",
    "Australia": "Canberra",
    "Austria": "Vienna",
    "Bangladesh": "Dhaka",
    "Belgium": "Brussels",
    "Brazil": "Brasilia",
    "Bulgaria": "Sofia",
    "Canada": "Ottawa",
    "China": "Beijing",
    "Colombia": "Bogota",
    "Croatia": "Zagreb",
    "Cuba": "Havana",
    "Denmark": "Copenhagen",
    "Ecuador": "Quito",
    "Egypt": "Cairo",
    "Estonia": "Tallinn",
    "Ethiopia": "Addis Ababa",
    "Finland": "Helsinki",
    "France": "Paris",
    "Germany": "Berlin",
    "Ghana": "Accra",
    "Greece": "Athens",
    "Hungary": "Budapest",
    "Iceland": "Reykjavik",
    "India": "New Delhi",
    "Iran": "Tehran",
    "Iraq": "Baghdad",
    "Ireland": "Dublin",
    "Italy": "Rome",
    "Japan": "Tokyo",
    "Jordan": "Amman",
    "Kenya": "Nairobi",
    "Latvia": "Riga",
    "Lebanon": "Beirut",
    "Lithuania": "Vilnius",
    "Mali": "Bamako",
    "Malta": "Valletta",
    "Mongolia": "Ulaanbaatar",
    "Morocco": "Rabat",
    "Nepal": "Kathmandu",
    "New Zealand": "Wellington",
    "Norway": "Oslo",
    "Pakistan": "Islamabad",
    "Peru": "Lima",
    "Poland": "Warsaw",
    "Portugal": "Lisbon",
    "Romania": "Bucharest",
    "Senegal": "Dakar",
    "Serbia": "Belgrade",
    "Slovakia": "Bratislava",
    "Slovenia": "Ljubljana",
    "South Korea": "Seoul",
    "Spain": "Madrid",
    "Sudan": "Khartoum",
    "Sweden": "Stockholm",
    "Syria": "Damascus",
    "Thailand": "Bangkok",
    "Tunisia": "Tunis",
    "Uganda": "Kampala",
    "Uruguay": "Montevideo",
    "Vietnam": "Hanoi",
    "Zambia": "Lusaka",
    "Zimbabwe": "Harare",
}

ELEMENTS: Final[dict[str, str]] = {
    "Ag": "silver",
    "Al": "aluminium",
    "Ar": "argon",
    "Au": "gold",
    "B": "boron",
    "Ba": "barium",
    "Be": "beryllium",
    "Br": "bromine",
    "C": "carbon",
    "Ca": "calcium",
    "Cd": "cadmium",
    "Cl": "chlorine",
    "Co": "cobalt",
    "Cr": "chromium",
    "Cs": "caesium",
    "Cu": "copper",
    "F": "fluorine",
    "Fe": "iron",
    "H": "hydrogen",
    "He": "helium",
    "Hg": "mercury",
    "I": "iodine",
    "K": "potassium",
    "Kr": "krypton",
    "Li": "lithium",
    "Mg": "magnesium",
    "Mn": "manganese",
    "N": "nitrogen",
    "Na": "sodium",
    "Ne": "neon",
    "Ni": "nickel",
    "O": "oxygen",
    "P": "phosphorus",
    "Pb": "lead",
    "Pt": "platinum",
    "Ra": "radium",
    "S": "sulfur",
    "Sb": "antimony",
    "Si": "silicon",
    "Sn": "tin",
    "Ti": "titanium",
    "U": "uranium",
    "W": "tungsten",
    "Xe": "xenon",
    "Zn": "zinc",
}

WEEKDAYS: Final = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")

MONTHS: Final = (
    *("January", "February", "March", "April", "May", "June"),
    *("July", "August", "September", "October", "November", "December"),
)


def roman(number: int) -> str:
    """Return `number`, 1..3999, in Roman numerals."""
    text = ""
    for value, letters in _ROMAN:
        count, number = divmod(number, value)
        text += letters * count
    return text


_ROMAN: Final = (
    *((1000, "M"), (900, "CM"), (500, "D"), (400, "CD"), (100, "C"), (90, "XC"), (50, "L")),
    *((40, "XL"), (10, "X"), (9, "IX"), (5, "V"), (4, "IV"), (1, "I")),
)
