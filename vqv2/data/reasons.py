"""Reasons why files cannot be used, when these are many: which kinds there are."""

import collections
import re

_SHOWN = 3  # kinds in a sentence
_DETAILS = re.compile(r" *[:(]")  # numbers, and the decoder's words, come after these


def by_kind(skipped):
    """{kind of reason: [(path, reason)]} of such a list, the commonest kind first."""
    kinds = collections.defaultdict(list)
    for path, reason in skipped:
        kinds[_DETAILS.split(reason, maxsplit=1)[0]].append((path, reason))
    return dict(sorted(kinds.items(), key=lambda item: -len(item[1])))


def commonest(skipped):
    """[(path, reason)] in a clause: the commonest kinds of reasons, each by its first file."""
    said = []
    for (path, reason), *others in list(by_kind(skipped).values())[:_SHOWN]:
        said.append(f"{path}: {reason}" + (f" ({len(others)} more like it)" if others else ""))
    return "; ".join(said)
