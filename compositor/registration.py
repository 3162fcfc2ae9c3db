"""Where every photo looks: the value between registering and composing, and its file."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Sequence
from typing import Annotated, Literal, Self

import msgspec
import numpy as np
from numpy.typing import NDArray

from compositor.errors import RegistrationFileError, counted
from compositor.geometry.mesh import steepness
from compositor.images.files import read_record, write_atomically
from compositor.types import Camera

__all__ = ["LocalAlignment", "Pair", "Registration"]

STEEPEST = 0.9
"""Beyond one a mesh folds; close to it, undoing it takes for ever."""

Positive = Annotated[float, msgspec.Meta(gt=0, le=1e9)]
Pixel = Annotated[float, msgspec.Meta(ge=-1e9, le=1e9)]
Number = Annotated[float, msgspec.Meta(ge=-1e9, le=1e9)]
Row = tuple[Number, Number, Number]
MeshRow = Annotated[tuple[tuple[Pixel, Pixel], ...], msgspec.Meta(min_length=4, max_length=1000)]
MeshRows = Annotated[tuple[MeshRow, ...], msgspec.Meta(min_length=4, max_length=1000)]
MotionModelName = Literal["rotation", "translation", "euclidean", "similarity", "affine", "homography"]


class Pair(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Two photos that share scene points: indices into ``cameras``, inlier matches, and their error after adjustment in px."""

    first: int
    second: int
    inliers: int
    error: float


class LocalAlignment(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the cameras' meshes do, in px of the full-size photos.

    ``before`` and ``after`` are the typical distance between points of the overlaps that meshes were not fitted to, without meshes and
    with them; ``bending`` is how far a straight line gets from straight at most.
    """

    before: float
    after: float
    bending: float


class PhotoRecord(msgspec.Struct, frozen=True, omit_defaults=True):
    """One camera as the file holds it."""

    name: str
    size: tuple[Annotated[int, msgspec.Meta(gt=0)], Annotated[int, msgspec.Meta(gt=0)]]
    focal: Positive
    center: tuple[Pixel, Pixel]
    rotation: tuple[Row, Row, Row]
    distortion: tuple[Number, Number] = (0.0, 0.0)
    plane: tuple[Row, Row, Row] | None = None
    mesh: MeshRows | None = None


class LeftOut(msgspec.Struct, frozen=True):
    """A photo that is not in the panorama, and why."""

    name: str
    reason: str


class RegistrationRecord(msgspec.Struct, frozen=True):
    """The whole file."""

    format: Literal["compositor registration"]
    version: Literal[1]
    model: MotionModelName
    photos: tuple[PhotoRecord, ...]
    left_out: tuple[LeftOut, ...] = ()
    pairs: tuple[Pair, ...] = ()
    error: float = 0.0
    confidence: float = 1.0
    doubts: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    local: LocalAlignment | None = None
    turned: Row = (0.0, 0.0, 0.0)


@dataclasses.dataclass(frozen=True, eq=False)
class Registration:
    """Where every photo of a set looks; can be saved, edited and applied to other versions of the same photos.

    Parameters
    ----------
    model : str
        Motion model: «rotation» means one viewpoint, cameras that only turn; «translation», «euclidean» (shifted and turned),
        «similarity», «affine» and «homography» mean photos of a plane, whose cameras hold where they see it.
    cameras : tuple of Camera
        One per photo that belongs, in the order the photos were given.
    left_out : tuple of (str, str)
        Name and reason of every photo that does not.
    pairs : tuple of Pair
        The overlaps that the cameras were estimated from.
    error : float
        Root mean square distance between matched points after adjustment, px of the full-size photos.
    confidence : float
        How far the registration can be trusted, 0 to 1: the probability of the motion model against the others that were tried (1 when
        it was given) times the share of the verified matches that the cameras bring together to within 3 px of the reduced photos.
    doubts : tuple of str
        What makes the registration doubtful as a whole, one line each; empty when nothing does.
    notes : tuple of str
        What else is worth knowing, one line each: photos whose overlap was found by a second look, pairs that were not believed.
    local : LocalAlignment or None
        What the cameras' meshes do; None where they have none.
    turned : (float, float, float)
        Yaw, pitch and roll of the view, degrees to the right, upward and clockwise, by which the cameras were turned away from straight
        ahead and level; what tells how the horizon lies.
    """

    model: MotionModelName
    cameras: tuple[Camera, ...]
    left_out: tuple[tuple[str, str], ...] = ()
    pairs: tuple[Pair, ...] = ()
    error: float = 0.0
    confidence: float = 1.0
    doubts: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    local: LocalAlignment | None = None
    turned: tuple[float, float, float] = (0.0, 0.0, 0.0)

    def __repr__(self) -> str:
        """One line, as the cameras' numbers would flood a prompt."""
        photos = counted(len(self.cameras), "photo")
        return f"Registration({self.model}, {photos}, error {self.error:.2f} px, left out {len(self.left_out)})"

    def fitted_to(self, photos: Sequence[tuple[str, tuple[int, int]]]) -> Self:
        """The same registration for other versions of the photos: other frames, masks, depths or sizes.

        Parameters
        ----------
        photos : sequence of (str, (int, int))
            Name, and width and height in px, of the version of each camera's photo.

        Raises
        ------
        RegistrationFileError
            A version has other proportions than its photo: it was cropped or turned; or there are fewer or more versions than cameras.
        """
        if len(photos) != len(self.cameras):
            given = counted(len(photos), "photo was", "photos were")
            raise RegistrationFileError(f"{given} given; needed is one for each of {len(self.cameras)} cameras, in order")
        cameras = (dataclasses.replace(scaled(c, size), name=name) for c, (name, size) in zip(self.cameras, photos, strict=True))
        return dataclasses.replace(self, cameras=tuple(cameras))

    def to_json(self) -> str:
        """The registration as versioned JSON text; reading it back gives exactly the same numbers."""
        photos = tuple(record_of(camera) for camera in self.cameras)
        left_out = tuple(LeftOut(*entry) for entry in self.left_out)
        record = RegistrationRecord(
            "compositor registration",
            1,
            self.model,
            photos,
            left_out,
            self.pairs,
            self.error,
            self.confidence,
            self.doubts,
            self.notes,
            self.local,
            self.turned,
        )
        return msgspec.json.format(msgspec.json.encode(record)).decode() + "\n"

    @classmethod
    def from_json(cls, text: str | bytes) -> Self:
        """A registration from JSON text.

        Raises
        ------
        RegistrationFileError
            The text is no registration of a known version, or its numbers make no camera.
        """
        try:
            record = msgspec.json.decode(text, type=RegistrationRecord)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise RegistrationFileError(f"no registration this version can read ({error}); write one with «compositor register»") from error
        cameras = []
        for p in record.photos:
            rotation, plane = np.array(p.rotation), None if p.plane is None else np.array(p.plane)
            if not np.allclose(rotation @ rotation.T, np.eye(3), atol=1e-6) or np.linalg.det(rotation) < 0:
                raise RegistrationFileError(f"rotation of {p.name} is no rotation matrix; needed is an orthonormal 3x3 with determinant 1")
            mirrored = plane is not None and not (np.linalg.det(plane) > 0 and plane[2, 2] > 0)
            if mirrored or (plane is None) != (record.model == "rotation"):
                message = f"{p.name} does not fit the model {record.model}; photos of a plane have a «plane» that does not mirror"
                raise RegistrationFileError(message)
            cameras.append(Camera(p.name, p.size, p.focal, p.center, rotation, p.distortion, plane, mesh_of(p)))
        for pair in record.pairs:
            if not (0 <= pair.first < len(cameras) and 0 <= pair.second < len(cameras)):
                raise RegistrationFileError(f"pair {pair.first}-{pair.second} names a photo that is not in the file; it has {len(cameras)}")
        left_out = tuple((entry.name, entry.reason) for entry in record.left_out)
        told = record.pairs, record.error, record.confidence, record.doubts, record.notes, record.local, record.turned
        return cls(record.model, tuple(cameras), left_out, *told)

    def save(self, path: str | os.PathLike[str], *, overwrite: bool = False) -> None:
        """Write the registration as JSON.

        Raises
        ------
        OutputError
            The file exists and ``overwrite`` is not set, or its folder is missing.
        WriteError
            The file could not be written; what was there before is still there.
        """
        write_atomically(path, lambda file: file.write(self.to_json().encode()), overwrite=overwrite)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Self:
        """Read a registration that ``save`` wrote.

        Raises
        ------
        RegistrationFileError
            The file cannot be read or is no registration.
        """
        return read_record(
            path, cls.from_json, RegistrationFileError, called="a registration", advice="give a file that «compositor register» wrote"
        )


def scaled(camera: Camera, size: tuple[int, int]) -> Camera:
    """A camera whose photo has another size."""
    if size == camera.size:
        return camera
    x, y = size[0] / camera.size[0], size[1] / camera.size[1]
    # Either version's sides were rounded to whole pixels, so the factors may differ by the worth of one in the smaller version.
    if abs(x - y) > max(1.0, x, y) / min(camera.size):
        found, needed = ("x".join(map(str, pair)) for pair in (size, camera.size))
        raise RegistrationFileError(
            f"{camera.name} has {found} pixels, which is no scaled version of the registered {needed}; register it anew"
        )
    center = ((camera.center[0] + 0.5) * x - 0.5, (camera.center[1] + 0.5) * y - 0.5)
    mesh = None if camera.mesh is None else camera.mesh * (x, y)
    return dataclasses.replace(camera, size=size, center=center, focal=camera.focal * (x + y) / 2, mesh=mesh)


def record_of(camera: Camera) -> PhotoRecord:
    """A camera as the file holds it."""
    c = camera
    plane = None if c.plane is None else rows_of(c.plane)
    mesh = None if c.mesh is None else tuple(tuple((float(x), float(y)) for x, y in row) for row in c.mesh)
    return PhotoRecord(c.name, c.size, c.focal, c.center, rows_of(c.rotation), c.distortion, plane, mesh)


def mesh_of(record: PhotoRecord) -> NDArray[np.float64] | None:
    """The mesh of a camera in a file.

    Raises
    ------
    RegistrationFileError
        It is no rectangle of control values, or folds the photo over itself.
    """
    if record.mesh is None:
        return None
    lengths = {len(row) for row in record.mesh}
    if len(lengths) > 1:
        raise RegistrationFileError(f"mesh of {record.name} has rows of {sorted(lengths)} control values; needed are rows of one length")
    mesh = np.array(record.mesh)
    if (steep := steepness(mesh, record.size)) >= STEEPEST:
        raise RegistrationFileError(
            f"mesh of {record.name} changes by up to {steep:.2g} px per px; from {STEEPEST} on it may fold the photo"
        )
    return mesh


def rows_of(matrix: NDArray[np.float64]) -> tuple[Row, Row, Row]:
    """A 3 x 3 matrix as the file holds it."""
    a, b, c = ((float(x), float(y), float(z)) for x, y, z in matrix)
    return a, b, c
