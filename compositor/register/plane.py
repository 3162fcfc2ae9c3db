"""Photos of a plane: where each one lies on it, and how to look at the whole squarely."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from compositor.register.initialize import middle
from compositor.register.least_squares import exponential
from compositor.register.models import MotionModel
from compositor.types import Camera, Match, Photo

__all__ = ["first_views", "fit_motion", "flatten", "sample_rays"]

Floats = NDArray[np.float64]


def first_views(photos: Sequence[Photo], steps: Sequence[tuple[int, int, Match]], model: MotionModel, *, unit: float) -> dict[int, Camera]:
    """Lay connected photos on a plane one after the other, along the spanning tree.

    Parameters
    ----------
    photos : sequence of Photo
        The whole set.
    steps : sequence of (int, int, Match)
        The spanning tree: known photo, new photo, match.
    model : MotionModel
        How photos may differ.
    unit : float
        Photo px that make one unit of the plane; plays the part of the focal length.

    Returns
    -------
    dict
        Camera by photo index.
    """
    start = steps[0][0]
    cameras = {start: plane_camera(photos[start], np.eye(3), unit)}
    for known, new, match in steps:
        camera = plane_camera(photos[new], np.eye(3), unit)
        points = (match.points_second, match.points_first) if match.first == known else (match.points_first, match.points_second)
        source, target = (points[0] - camera.center) / unit, (points[1] - cameras[known].center) / unit
        cameras[new] = camera.looking(cameras[known].view @ fit_motion(source, target, model))
    return cameras


def plane_camera(photo: Photo, view: Floats, unit: float) -> Camera:
    """A photo on a plane whose unit is so many px."""
    return Camera(photo.name, photo.size, unit, middle(photo), np.eye(3), plane=view)


def fit_motion(source: Floats, target: Floats, model: MotionModel) -> Floats:
    """The motion of a planar model that takes points nearest to others, in the least-squares sense, (3, 3).

    Gauss-Newton over the model's generators from the identity. Steps are exponentials: a model that does not scale must never do so.
    """
    motion = np.eye(3)
    generators = model.generators.reshape(-1, 3, 3)
    rays = np.column_stack([source, np.ones(len(source))])
    for _ in range(10):
        p = rays @ motion.T
        xy = p[:, :2] / p[:, 2:]
        by_generator = np.einsum("gij,nj->gni", generators, p)
        slope = (by_generator[:, :, :2] - xy * by_generator[:, :, 2:]) / p[:, 2:]
        step = np.linalg.lstsq(slope.reshape(len(generators), -1).T, (target - xy).ravel(), rcond=None)[0]
        motion = exponential(np.tensordot(step, generators, axes=1)[None])[0] @ motion
        if np.abs(step).max() < 1e-9:
            break
    return np.asarray(motion / motion[2, 2])


def flatten(cameras: Sequence[Camera], model: MotionModel) -> list[Camera]:
    """Move, turn, scale and tilt the plane as a whole so that the photos on it look as little distorted as they can.

    Which plane coordinates are the right ones the matches cannot say: all views may be multiplied with one common motion. The one
    chosen makes the photos, on average, neither larger nor smaller, nor sheared, nor tilted; then upright; then centred.

    Parameters
    ----------
    cameras : sequence of Camera
        Photos of a plane.
    model : MotionModel
        Motions that the plane as a whole may make.

    Returns
    -------
    list of Camera
    """
    views = np.array([c.view for c in cameras])
    rays = np.array([sample_rays(c) for c in cameras])
    motions = [g for g in model.generators.reshape(-1, 3, 3) if not np.any(g[:2, 2]) and g[0, 1] != -g[1, 0]]
    views = least_distorted(views, rays, motions) if motions else views
    middles = np.array([view @ (0, 0, 1) for view in views])
    turns = np.array([(slope[0, 0] + slope[1, 1]) + 1j * (slope[1, 0] - slope[0, 1]) for slope in slopes(views, rays)[:, 0]])
    turn = common_turn(turns / np.abs(turns))
    x, y = (middles[:, :2] / middles[:, 2:]).mean(axis=0)
    upright = np.array([[turn.real, turn.imag, 0], [-turn.imag, turn.real, 0], [0, 0, 1]]) if model.name != "translation" else np.eye(3)
    world = upright @ np.array([[1, 0, -x], [0, 1, -y], [0, 0, 1.0]])
    return [c.looking(world @ view / (world @ view)[2, 2]) for c, view in zip(cameras, views, strict=True)]


def common_turn(turns: NDArray[np.complex128]) -> complex:
    """The direction, of length 1, that most photos agree is theirs; some may lie on their sides, which must not tilt the others.

    Strips flown forth and back have no common upright; the first photo's will do.
    """
    fourfold = np.sum(turns**4)
    if abs(fourfold) < 0.2 * len(turns):
        return complex(turns[0])
    square = fourfold**0.25 / abs(fourfold) ** 0.25
    quarters = np.round(np.angle(turns / square) / (np.pi / 2)).astype(int) % 4
    counts = np.bincount(quarters, minlength=4)
    own = quarters[0] if counts[quarters[0]] >= 0.8 * counts.max() else int(counts.argmax())
    turn = np.sum(turns * 1j ** (own - quarters))
    return complex(turn / abs(turn))


def least_distorted(views: Floats, rays: Floats, motions: Sequence[Floats]) -> Floats:
    """Multiply all views with the one motion that brings their local scale to 1 and their shear to 0, in the least-squares sense."""
    for _ in range(20):
        now = distortion(views, rays)
        h = 1e-6
        by_motion = [(distortion((np.eye(3) + h * m) @ views, rays) - now) / h for m in motions]
        step = -np.linalg.lstsq(np.array(by_motion).T, now, rcond=None)[0]
        step *= min(1.0, 0.3 / max(float(np.abs(step).max()), 1e-12))
        views = (np.eye(3) + np.tensordot(step, np.array(motions), axes=1)) @ views
        if np.abs(step).max() < 1e-9:
            break
    return views


def distortion(views: Floats, rays: Floats) -> Floats:
    """How far the views are from turned copies at scale 1: log scale and the two parts of the shear at every sample, in one vector."""
    slope = slopes(views, rays)
    scale = np.sqrt(np.maximum(np.linalg.det(slope), 1e-12))
    shear = np.stack([slope[..., 0, 0] - slope[..., 1, 1], slope[..., 0, 1] + slope[..., 1, 0]])
    # A turned shear is still a shear: undo the turn, so that its two parts do not depend on how the photo was held.
    turn = (slope[..., 0, 0] + slope[..., 1, 1]) + 1j * (slope[..., 1, 0] - slope[..., 0, 1])
    straight = (shear[0] + 1j * shear[1]) * turn / np.maximum(np.abs(turn), 1e-12) / scale
    return np.concatenate([np.log(scale).ravel(), straight.real.ravel(), straight.imag.ravel()])


def slopes(views: Floats, rays: Floats) -> Floats:
    """Derivative of the plane position by the ray's x and y, (n, s, 2, 2)."""
    p = np.einsum("nij,nsj->nsi", views, rays)
    xy = p[..., :2] / p[..., 2:]
    return np.asarray((views[:, None, :2, :2] - xy[..., None] * views[:, None, 2:, :2]) / p[..., 2, None, None])


def sample_rays(camera: Camera) -> Floats:
    """Rays of a photo's middle and corners, (5, 3)."""
    w, h = camera.size
    x, y = (w - 1) / 2 / camera.focal, (h - 1) / 2 / camera.focal
    return np.array([[0, 0, 1], [-x, -y, 1], [x, -y, 1], [x, y, 1], [-x, y, 1]], np.float64)
