"""What is said of photos that are left out, and of photos that do not fit together: what was found, what was needed, what to try."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np

from compositor.errors import counted
from compositor.geometry.views import ray_directions, see
from compositor.register.blame import Dispute
from compositor.register.graph import Verdicts
from compositor.register.matching import Verdict
from compositor.register.parallax import Agreement, moved_matches
from compositor.registration import Pair
from compositor.types import Camera, Photo

__all__ = ["dispute_notes", "explained", "few_message", "misfit", "no_overlap", "same_view_notes", "saved_note"]

MISFIT = 0.75
"""Share of the verified matches that cameras bring together, below which the photos are said not to fit."""

DISPLACED = 0.0027
"""Mean displacement of the verified matches, in units of the photo's longer side, beyond which the photos are said not to fit.

Photos turned in the hand stay below 0.002, also in narrow streets; few and far displaced things, as a walk along houses leaves, go beyond.
"""

SAME = 0.02
"""Distance of all corners, in units of the photo's longer side, within which two photos show the same view."""

MOST_NOTES = 5
"""Pairs that are named."""


def no_overlap(i: int, groups: Sequence[Sequence[int]], photos: Sequence[Photo], verdicts: Verdicts, tried: Sequence[str]) -> str:
    """Why photo ``i`` is not in the largest group, with the numbers of its best attempt.

    Parameters
    ----------
    i : int
    groups : sequence of sequence of int
        Photos that hang together, the largest group first.
    photos : sequence of Photo
    verdicts : dict
        Of all pairs that were compared.
    tried : sequence of str
        With what it was tried again.
    """
    own = next(group for group in groups if i in group)
    again = f"; tried again with {', '.join(tried)}" if tried else ""
    reason = f"no overlap found: {best_attempt(i, own, photos, verdicts)}{again}"
    if len(own) == 1:
        return reason
    names = " ".join(photos[k].name for k in own)
    return f"{reason}; {len(own)} photos hang together among themselves: make a second panorama of them: {names}"


def best_attempt(i: int, own: Sequence[int], photos: Sequence[Photo], verdicts: Verdicts) -> str:
    """The comparison with a photo of another group that came closest, in words."""
    attempts = [(v.inliers, -v.needed, pair) for pair, v in verdicts.items() if i in pair and not (pair[0] in own and pair[1] in own)]
    if not attempts:
        return "it looks like no other photo"
    *_, pair = max(attempts)
    verdict, other = verdicts[pair], photos[pair[0] if pair[1] == i else pair[1]].name
    text = f"best with {other}, {verdict.inliers} matching points agree, {verdict.needed} needed"
    if not verdict.alike:
        text = f"best with {other}, {verdict.inliers} matching points agree, but the pictures around them differ"
    moved = moved_matches(verdict)
    return text + (f", and {moved} more moved, as they do when the camera does" if moved else "")


def few_message(photos: Sequence[Photo], verdicts: Sequence[Verdict] = ()) -> str:
    """One line for a set without two photos that fit together."""
    if not photos:
        return "no photo could be used; give at least two overlapping photos"
    if len(photos) == 1:
        return f"{photos[0].name} is the only photo that could be used; give at least two overlapping photos"
    if any(moved_matches(verdict) for verdict in verdicts):
        return (
            f"{len(photos)} photos match, but no single viewpoint or plane explains any two of them, the warnings say why; "
            "the camera moved between the photos: turn it on the spot"
        )
    return f"fewer than two of {len(photos)} photos overlap, the warnings say why; neighbours should share about a third of their view"


def misfit(agreed: Agreement, cameras: Sequence[Camera]) -> tuple[str, ...]:
    """What to say when cameras leave much unexplained; nothing when they do not."""
    if agreed.share >= MISFIT and agreed.displaced <= DISPLACED:
        return ()
    width = int(np.median([camera.size[0] for camera in cameras]))
    return (
        "the photos match, but no single viewpoint or plane explains them: "
        f"{100 * (1 - agreed.share):.0f} % of the matches are off, half of these by more than {agreed.error:.1f} px, in photos {width} px "
        "wide; the camera moved between the photos, so expect broken and doubled things",
    )


def explained(agreed: Agreement) -> float:
    """How much of what matches the cameras explain, 0 to 1: what to scale a registration's confidence by."""
    return agreed.share * min(1.0, DISPLACED / max(agreed.displaced, DISPLACED))


def dispute_notes(disputes: Sequence[Dispute], name: Mapping[int, str]) -> list[str]:
    """Pairs that were not believed, in words; of many the strongest."""
    notes = []
    for dispute in sorted(disputes, key=lambda d: -d.match.inliers)[:MOST_NOTES]:
        match = dispute.match
        names = " and ".join(sorted((name[match.first], name[match.second])))
        said = "show the same place differently" if dispute.overlapping else "look alike, but the others say that they do not overlap"
        off = f"off by {dispute.error:.0f} px where the rest agree to {dispute.others:.1f} px"
        notes.append(f"{names} {said}: their {match.inliers} matches are {off}")
    if len(disputes) > MOST_NOTES:
        more = counted(len(disputes) - MOST_NOTES, "more pair with fewer matches does", "more pairs with fewer matches do")
        notes.append(f"{more} not fit the others")
    return notes


def same_view_notes(cameras: Sequence[Camera], pairs: Sequence[Pair]) -> list[str]:
    """Photos that show the same view as another, in words."""
    notes = []
    for pair in pairs:
        a, b = cameras[pair.first], cameras[pair.second]
        w, h = np.array(a.size) - 1.0
        corners = np.array([[0, 0], [w, 0], [w, h], [0, h]])
        # Seen by the other camera as if it had no border, or the corners of two equal views might just fall outside.
        wide = dataclasses.replace(b, size=(3 * b.size[0], 3 * b.size[1]), center=(b.center[0] + b.size[0], b.center[1] + b.size[1]))
        positions, seen = see(wide, ray_directions(a, corners))
        moved = np.abs(positions - np.array(b.size) - corners * (np.array(b.size) - 1) / (w, h)).max()
        if seen.all() and moved < SAME * max(b.size):
            notes.append(f"{b.name} shows the same view as {a.name}; both are used")
    return notes


def saved_note(name: str, step: str) -> str:
    """A photo that hangs together with the others by a second look, in words."""
    return f"{name}: its overlap was found with {step}"
