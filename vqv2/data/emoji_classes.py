"""The class of an emoji, and which emoji are variants of one another, from its code points.

The classes follow the groups of Unicode's emoji list, with these differences: hands and parts of
the body, `body`, are apart from whole people; plants are with the food; cat and monkey faces are
with the animals; hearts and other emotion marks are symbols; musical instruments are activities.
OpenMoji's own pictures, which Unicode does not have, are `extras`.
"""

# Code points in hexadecimal, single or first-last. A sequence belongs where its first one does.
_RANGES = {
    "faces": """
        2620 2639-263A 1F479-1F47B 1F47D-1F480 1F4A9 1F600-1F637 1F641-1F644 1F910-1F917
        1F920-1F925 1F927-1F92F 1F970-1F976 1F978-1F97A 1F9D0 1FAE0-1FAE5 1FAE8-1FAEA
    """,
    "people": """
        26F7 26F9 1F385 1F3C2-1F3C4 1F3C7 1F3CA-1F3CC 1F464-1F478 1F47C 1F481-1F483 1F486-1F487
        1F48F 1F491 1F574-1F575 1F57A 1F5E3 1F645-1F647 1F64B 1F64D-1F64E 1F6A3 1F6B4-1F6B6
        1F6C0 1F6CC 1F926 1F930-1F931 1F934-1F93E 1F977 1F9B0-1F9B3 1F9B8-1F9B9 1F9CC-1F9CF
        1F9D1-1F9DF 1FAC2-1FAC5 1FAC8 1FBC5-1FBC9
    """,
    "body": """
        261D 270A-270D 1F440-1F450 1F463 1F485 1F4AA 1F590 1F595-1F596 1F64C 1F64F 1F90C 1F90F
        1F918-1F91F 1F932-1F933 1F9B4-1F9B7 1F9BB 1F9BE-1F9BF 1F9E0 1FAC0-1FAC1 1FAC6 1FAE6
        1FAF0-1FAF8
    """,
    "animals": """
        1F400-1F43F 1F54A 1F577-1F578 1F638-1F640 1F648-1F64A 1F980-1F9AE 1FAB0-1FAB3 1FAB6
        1FAB8 1FABC-1FABD 1FABF 1FACD-1FACF
    """,
    "food-plants": """
        2615 2618 1F32D-1F37F 1F382 1F3F5 1F3FA 1F490 1F940 1F942-1F944 1F950-1F96F 1F9C0-1F9CB
        1FAB4 1FAB7 1FAB9-1FABB 1FABE 1FAD0-1FADC
    """,
    "travel-places": """
        231A-231B 23F0-23F3 2600-2604 2614 2668 2693 26A1 26C4-26C8 26E9-26F2 26F4-26F5 26FA 26FD
        2708 2744 2B50 1F300-1F32C 1F3A0-1F3A2 1F3AA 1F3CD-1F3CE 1F3D4-1F3E6 1F3E8-1F3ED
        1F3EF-1F3F0 1F488 1F492 1F4A7 1F4BA 1F525 1F54B-1F54D 1F550-1F567 1F570 1F5FA-1F5FE
        1F680-1F6A2 1F6A4-1F6A8 1F6B2 1F6CE 1F6D1 1F6D5-1F6D6 1F6D8 1F6DD-1F6DF 1F6E2-1F6F6
        1F6F8-1F6FC 1F9BC-1F9BD 1F9ED 1F9F1 1F9F3 1FA82 1FA90 1FAA8 1FAB5
    """,
    "activities": """
        2654-265F 2660 2663 2665-2666 26BD-26BE 26F3 26F8 2728 1F004 1F0CF 1F380-1F381
        1F383-1F384 1F386-1F38B 1F38D-1F391 1F396-1F397 1F39F 1F3A3-1F3A4 1F3A7-1F3A8 1F3AB
        1F3AD-1F3C0 1F3C5-1F3C6 1F3C8-1F3C9 1F3CF-1F3D3 1F3F8 1F52E 1F579 1F5BC 1F6F7 1F93F
        1F941 1F945-1F94F 1F9E7-1F9E9 1F9F5-1F9F6 1F9F8 1F9FF 1FA80-1FA81 1FA84-1FA8A 1FA95
        1FA97-1FA98 1FAA1-1FAA2 1FAA9
    """,
    "objects": """
        2328 260E 2692 2694 2696-2699 26B0-26B1 26CF-26D3 2702 2709 270F 2712 1F392-1F393
        1F399-1F39E 1F3A5 1F3A9 1F3AC 1F3EE 1F3F7 1F3F9 1F451-1F462 1F484 1F489-1F48A
        1F48D-1F48E 1F4A1 1F4A3 1F4B0 1F4B3-1F4B9 1F4BB-1F4DA 1F4DC-1F4F2 1F4F7-1F4FF
        1F507-1F517 1F526-1F52D 1F56F 1F576 1F587-1F58D 1F5A5-1F5B2 1F5C2-1F5E1 1F5F3 1F5FF
        1F6AA 1F6AC 1F6BD 1F6BF 1F6C1 1F6CB 1F6CD 1F6CF 1F6D2 1F6D7 1F6E0-1F6E1 1F97B-1F97F
        1F9AF 1F9BA 1F9E2-1F9E6 1F9EA-1F9EC 1F9EE-1F9F0 1F9F2 1F9F4 1F9F7 1F9F9-1F9FE
        1FA70-1FA74 1FA78-1FA7C 1FA83 1FA8E-1FA8F 1FA91-1FA94 1FA96 1FA99-1FAA0 1FAA3-1FAA7
        1FAAA-1FAAE 1FAE7
    """,
    "flags": "1F1E6-1F1FF 1F38C 1F3C1 1F3F3-1F3F4 1F6A9",
    "extras": "E000-F8FF",
}
_REST = "symbols"

CLASS_NAMES = (*_RANGES, _REST)

_SKIN_TONES = range(0x1F3FB, 0x1F400)
_LETTERS = range(0x1F1E6, 0x1F200)

# Left out of a key: variation selector, joiner, female, male, facing right, skin tones.
_MODIFIERS = {0xFE0F, 0x200D, 0x2640, 0x2642, 0x27A1, *_SKIN_TONES}

# Pictures of one subject as a woman or a man, by the code point that stands for either.
_UNGENDERED = {
    0x1F468: 0x1F9D1,  # man: adult
    0x1F469: 0x1F9D1,  # woman
    0x1F466: 0x1F9D2,  # boy: child
    0x1F467: 0x1F9D2,  # girl
    0x1F474: 0x1F9D3,  # old man: older adult
    0x1F475: 0x1F9D3,  # old woman
    0x1F934: 0x1FAC5,  # prince: person with crown
    0x1F478: 0x1FAC5,  # princess
    0x1F930: 0x1FAC4,  # pregnant woman: pregnant person
    0x1FAC3: 0x1FAC4,  # pregnant man
    0x1F936: 0x1F385,  # Mother Christmas: Father Christmas
    0x1F57A: 0x1F483,  # man dancing: woman dancing
    0x1F46C: 0x1F46B,  # two men holding hands: woman and man holding hands
    0x1F46D: 0x1F46B,  # two women holding hands
}

# Keys of other sequences for the same subject: people as one code point or as several, and
# territories that fly the flag of another.
_SAME_AS = {
    "1F46A": "1F9D1-1F9D1-1F9D2",  # family
    "1F46B": "1F9D1-1F91D-1F9D1",  # holding hands
    "1F46F": "1F9D1-1F430-1F9D1",  # bunny ears
    "1F48F": "1F9D1-2764-1F48B-1F9D1",  # kiss
    "1F491": "1F9D1-2764-1F9D1",  # couple with heart
    "1F93C": "1F9D1-1FAEF-1F9D1",  # wrestlers
    "1FAF1-1FAF2": "1F91D",  # handshake
    "20E3": "1F7E6",  # an empty keycap: blue square
    "1F1ED-1F1F2": "1F1E6-1F1FA",  # Heard and McDonald Islands: Australia
    "1F1F2-1F1EB": "1F1EB-1F1F7",  # Saint Martin: France
    "1F1E8-1F1F5": "1F1EB-1F1F7",  # Clipperton Island
    "1F1EA-1F1E6": "1F1EA-1F1F8",  # Ceuta and Melilla: Spain
    "1F1F8-1F1EF": "1F1F3-1F1F4",  # Svalbard and Jan Mayen: Norway
    "1F1F2-1F1E8": "1F1EE-1F1E9",  # Monaco: Indonesia
    "1F1F9-1F1E9": "1F1F7-1F1F4",  # Chad: Romania
}


def _expanded(ranges):
    table = {}
    for name, text in ranges.items():
        for item in text.split():
            first, _, last = item.partition("-")
            table |= dict.fromkeys(range(int(first, 16), int(last or first, 16) + 1), name)
    return table


_CLASS_OF = _expanded(_RANGES)


def emoji_class(codes):
    """The name of the class of an emoji, given as its sequence of code points, int."""
    if len(codes) == 1 and codes[0] in _LETTERS:
        return _REST  # one regional indicator is a letter; it takes two to make a flag
    return _CLASS_OF.get(codes[0], _REST)


def has_skin_tone(codes):
    """Whether an emoji, given as its code points, is in one of the five skin tones."""
    return any(code in _SKIN_TONES for code in codes)


def variant_key(codes):
    """A string that is the same for the variants of one emoji, given as its code points.

    These are the variants in skin tone, in gender (prince and princess too), in direction and in
    presentation, and the few other emoji with the same drawing. The split into train and held-out
    goes by it, so that no near-copies of training images are held out.
    """
    kept = [_UNGENDERED.get(code, code) for code in codes if code not in _MODIFIERS]
    key = "-".join(f"{code:X}" for code in kept or codes)
    return _SAME_AS.get(key, key)
