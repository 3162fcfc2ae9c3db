"""Filling a picture from what is known of it in places, through a pyramid (push-pull).

Gortler, Grzeszczuk, Szeliski and Cohen, «The lumigraph», SIGGRAPH 1996, section 3.4. Nothing is checked: arrays have the stated shapes and
types, and the caller allocates the outputs.
"""

from __future__ import annotations

import numpy as np
from numba import njit


@njit(cache=True, nogil=True)
def compare(reference, new, overlap, inside, outside, sure, width, most, values, weights):
    """Differences between two pictures beside a seam, and how much each tells of a step in colour; means of four pixels, as ``pull``.

    Parameters
    ----------
    reference, new : (h, w, 3) float32
    overlap : (h, w) bool
        Where both have pixels.
    inside, outside : (h, w) float32
        Distance from the seam on either side of it, px; on the other side 0.
    sure : float32
        Weight of a pixel at the seam.
    width : float32
        Distance from there at which it has fallen to a quarter, px.
    most : float32
        Difference at which it has fallen to a half.
    values : (ceil(h / 2), ceil(w / 2), 3) float32, out
        Of the reference minus the new picture.
    weights : (ceil(h / 2), ceil(w / 2)) float32, out
    """
    h, w = overlap.shape
    one = np.float32(1)
    for i in range(weights.shape[0]):
        for j in range(weights.shape[1]):
            total, red, green, blue = np.float32(0), np.float32(0), np.float32(0), np.float32(0)
            for y in range(2 * i, min(2 * i + 2, h)):
                for x in range(2 * j, min(2 * j + 2, w)):
                    distance = (inside[y, x] + outside[y, x]) / width
                    if overlap[y, x] and distance < np.float32(16):
                        r = reference[y, x, 0] - new[y, x, 0]
                        g = reference[y, x, 1] - new[y, x, 1]
                        b = reference[y, x, 2] - new[y, x, 2]
                        size = max(abs(r), abs(g), abs(b)) / most
                        near = one + distance * distance
                        weight = sure / (near * near * (one + size * size))
                        total += weight
                        red += weight * r
                        green += weight * g
                        blue += weight * b
            part = one / total if total > 0 else np.float32(0)
            values[i, j, 0], values[i, j, 1], values[i, j, 2] = red * part, green * part, blue * part
            weights[i, j] = min(total, one)


@njit(cache=True, nogil=True)
def pull(values, weights, coarse, coarse_weights):
    """Halve a picture of which parts are known: weighted means of four, which are as sure as their sum, but never surer than 1.

    Parameters
    ----------
    values : (h, w, 3) float32
    weights : (h, w) float32
        In 0..1; where 0, the values do not count.
    coarse : (ceil(h / 2), ceil(w / 2), 3) float32, out
    coarse_weights : (ceil(h / 2), ceil(w / 2)) float32, out
    """
    h, w = weights.shape
    for i in range(coarse.shape[0]):
        for j in range(coarse.shape[1]):
            total = np.float32(0)
            red, green, blue = np.float32(0), np.float32(0), np.float32(0)
            for y in range(2 * i, min(2 * i + 2, h)):
                for x in range(2 * j, min(2 * j + 2, w)):
                    weight = weights[y, x]
                    total += weight
                    red += weight * values[y, x, 0]
                    green += weight * values[y, x, 1]
                    blue += weight * values[y, x, 2]
            part = np.float32(1) / total if total > 0 else np.float32(0)
            coarse[i, j, 0], coarse[i, j, 1], coarse[i, j, 2] = red * part, green * part, blue * part
            coarse_weights[i, j] = min(total, np.float32(1))


@njit(cache=True, nogil=True)
def push(coarse, values, weights):
    """Fill a picture from its half: what is not sure of a pixel comes from there, interpolated linearly.

    Parameters
    ----------
    coarse : (ceil(h / 2), ceil(w / 2), 3) float32
        Filled everywhere.
    values : (h, w, 3) float32, in and out
    weights : (h, w) float32
        In 0..1.
    """
    h, w = weights.shape
    m, n = coarse.shape[0], coarse.shape[1]
    near, far = np.float32(0.75), np.float32(0.25)
    for i in range(h):
        y = i // 2
        other_y = min(max(y + 2 * (i % 2) - 1, 0), m - 1)
        for j in range(w):
            weight = weights[i, j]
            rest = np.float32(1) - weight
            if rest > 0:
                x = j // 2
                other_x = min(max(x + 2 * (j % 2) - 1, 0), n - 1)
                for k in range(3):
                    this = near * coarse[y, x, k] + far * coarse[y, other_x, k]
                    that = near * coarse[other_y, x, k] + far * coarse[other_y, other_x, k]
                    filled = near * this + far * that
                    values[i, j, k] = weight * values[i, j, k] + rest * filled if weight > 0 else filled


@njit(cache=True, nogil=True)
def enlarge_faded(coarse, owner, inside, longest, offset):
    """A picture enlarged twice, linearly, times one at a seam, falling to zero at the largest distance from it.

    Parameters
    ----------
    coarse : (ceil(h / 2), ceil(w / 2), 3) float32
    owner : (h, w) bool
        Where; elsewhere it is zero.
    inside : (h, w) float32
        Distance from the seam, px.
    longest : float32
        The largest.
    offset : (h, w, 3) float32, out
    """
    h, w = owner.shape
    m, n = coarse.shape[0], coarse.shape[1]
    near, far = np.float32(0.75), np.float32(0.25)
    for i in range(h):
        y = i // 2
        other_y = min(max(y + 2 * (i % 2) - 1, 0), m - 1)
        for j in range(w):
            if not owner[i, j]:
                offset[i, j, 0] = offset[i, j, 1] = offset[i, j, 2] = np.float32(0)
                continue
            fade = np.float32(1) - inside[i, j] / longest
            x = j // 2
            other_x = min(max(x + 2 * (j % 2) - 1, 0), n - 1)
            for k in range(3):
                this = near * coarse[y, x, k] + far * coarse[y, other_x, k]
                that = near * coarse[other_y, x, k] + far * coarse[other_y, other_x, k]
                offset[i, j, k] = fade * (near * this + far * that)


@njit(cache=True, nogil=True)
def composite(layers, masks, inside, feather, offset, new, pixels, weight):
    """Two pictures as one, the reference fading out behind the seam.

    Parameters
    ----------
    layers : tuple of two (h, w, 3) float32
        Reference and new picture.
    masks : tuple of three (h, w) bool
        Where the reference has pixels, where the new picture has, and where the new one shows.
    inside : (h, w) float32
        Distance from the seam of the pixels that the new picture shows, px.
    feather : float32
        Where the reference has faded out, px.
    offset : (h, w, 3) float32
        Added to the new picture.
    new : (h, w, 3) float32, out
        The new picture with it, within 0..1 where it has pixels; may be the new picture.
    pixels : (h, w, 3) float32, out
        Zero where neither has pixels; may be ``offset``.
    weight : (h, w) float32, out
        How much of the new picture shows.
    """
    reference, source = layers
    reference_valid, new_valid, owner = masks
    zero, one = np.float32(0), np.float32(1)
    h, w = owner.shape
    for i in range(h):
        for j in range(w):
            share = one if owner[i, j] else zero
            if owner[i, j] and reference_valid[i, j] and inside[i, j] < feather:
                part = inside[i, j] / feather
                share = part * part * (np.float32(3) - np.float32(2) * part)
            weight[i, j] = share
            for k in range(3):
                value = source[i, j, k]
                if new_valid[i, j]:
                    value = min(max(value + offset[i, j, k], zero), one)
                new[i, j, k] = value
                under = reference[i, j, k] if reference_valid[i, j] else zero
                if share == one:
                    pixels[i, j, k] = value
                elif share == zero:
                    pixels[i, j, k] = under
                else:
                    pixels[i, j, k] = under + share * (value - under)
