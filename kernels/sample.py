"""A photo's pixels between pixels, by bicubic interpolation.

Nothing is checked: arrays must be contiguous and have the stated shapes, and the caller allocates the outputs.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic

PHASES = 32
"""Parts of a pixel that positions are multiples of."""

KEYS = -0.75
"""The free number of Keys' kernel (1981), the slope at distance 1: OpenCV's choice."""


def _weights():
    """Weights of four pixels in a row, by how far the position lies from the second towards the third, (32, 4) float32."""
    near = np.arange(PHASES) / PHASES
    first = (((near + 1) - 5) * (near + 1) + 8) * (near + 1) * KEYS - 4 * KEYS
    second, third = (((KEYS + 2) * distance - (KEYS + 3)) * distance**2 + 1 for distance in (near, 1 - near))
    return np.stack([first, second, third, 1 - first - second - third], axis=1).astype(np.float32)


DOWN = _weights().reshape(-1)
ACROSS = np.repeat(DOWN, 3)
"""The same for values that stand in threes, red, green and blue of a pixel."""

WORD, FOUR = ir.IntType(32), ir.VectorType(ir.FloatType(), 4)


def _weigh_types(typing_context, pixels, start, stride, down, across, row, column, target, to):
    """Write red, green and blue of 4 x 4 weighted pixels to ``target[to : to + 3]``.

    Arguments: the photo's values and which of them is the first, how many a row of it has; ``DOWN`` and ``ACROSS`` and where in them the
    weights begin; where to write. In terms of vectors, three of four values being four pixels: left to itself the compiler takes one
    value after the other, and three times as long.
    """
    index = types.intp

    def generate(context, builder, signature, values):
        def at(argument, place):
            return builder.gep(context.make_array(signature.args[argument])(context, builder, values[argument]).data, [place])

        def further(pointer, count):
            return builder.gep(pointer, [ir.Constant(values[1].type, count)])

        def load(pointer):
            return builder.load(builder.bitcast(pointer, FOUR.as_pointer()), align=4)

        def shuffle(a, b, *places):
            return builder.shuffle_vector(a, b, ir.Constant(ir.VectorType(WORD, len(places)), places))

        source, heavy, broad, out = at(0, values[1]), at(3, values[5]), at(4, values[6]), at(7, values[8])
        sums: list[Any] = []
        for row in range(4):
            weight = builder.insert_element(ir.Constant(FOUR, ir.Undefined), builder.load(further(heavy, row)), ir.Constant(WORD, 0))
            weight = shuffle(weight, weight, 0, 0, 0, 0)
            terms = [builder.fmul(load(further(source, 4 * n)), weight) for n in range(3)]
            sums = [builder.fadd(*pair) for pair in zip(sums, terms, strict=True)] if sums else terms
            source = builder.gep(source, [values[2]])
        # Of four pixels: r0 g0 b0 r1, g1 b1 r2 g2, b2 r3 g3 b3.
        low, middle, high = [builder.fmul(total, load(further(broad, 4 * n))) for n, total in enumerate(sums)]
        second, third, fourth = shuffle(low, middle, 3, 4, 5, 5), shuffle(middle, high, 2, 3, 4, 4), shuffle(high, high, 1, 2, 3, 3)
        total = builder.fadd(builder.fadd(low, second), builder.fadd(third, fourth))
        for channel in range(3):
            builder.store(builder.extract_element(total, ir.Constant(WORD, channel)), further(out, channel))
        return context.get_dummy_value()

    return types.void(pixels, index, index, down, across, index, index, target, index), generate


_weigh: Any = intrinsic(_weigh_types)


@njit(cache=True, nogil=True)
def sample_cubic(pixels, map_x, map_y, valid, left, top, drawn):
    """Interpolate a photo at given positions; beyond its edge it goes on with its edge's colour.

    Parameters
    ----------
    pixels : (h, w, 3) float32
        A part of the photo.
    map_x, map_y : (m, n) float32
        Photo positions, multiples of 1/32 px. All must be finite and below 2^26 in size, also where not valid: each becomes an integer
        before it is known whether it counts, and of what is no number nobody knows which.
    valid : (m, n) bool
        Where there is a position; elsewhere it lies outside of the photo, such as at -1e4.
    left, top : int
        Photo position of the part's first pixel, px.
    drawn : (m, n, 3) float32, out
        Zero where not valid.
    """
    h, w, _ = pixels.shape
    values, targets = pixels.reshape(-1), drawn.reshape(-1)
    height, width = map_x.shape
    stride = 3 * w
    phases, mask = np.float32(PHASES), np.int32(PHASES - 1)
    starts, rows, columns = np.empty(width, np.int32), np.empty(width, np.int32), np.empty(width, np.int32)
    inside = np.empty(width, np.bool_)
    for i in range(height):
        every = True
        for j in range(width):
            x, y = np.int32((map_x[i, j] - np.float32(left)) * phases), np.int32((map_y[i, j] - np.float32(top)) * phases)
            first_x, first_y = (x >> np.int32(5)) - np.int32(1), (y >> np.int32(5)) - np.int32(1)
            starts[j] = first_y * np.int32(stride) + first_x * np.int32(3)
            rows[j], columns[j] = (y & mask) * np.int32(4), (x & mask) * np.int32(12)
            inside[j] = (first_x >= 0) & (first_y >= 0) & (first_x < w - 3) & (first_y < h - 3) & valid[i, j]
            every &= inside[j]
        if every:
            for j in range(width):
                _weigh(values, starts[j], stride, DOWN, ACROSS, rows[j], columns[j], targets, 3 * (i * width + j))
            continue
        for j in range(width):
            if inside[j]:
                _weigh(values, starts[j], stride, DOWN, ACROSS, rows[j], columns[j], targets, 3 * (i * width + j))
            else:
                _sample_at_edge(pixels, map_x[i, j] - np.float32(left), map_y[i, j] - np.float32(top), valid[i, j], drawn[i, j])


@njit(cache=True, nogil=True)
def _sample_at_edge(pixels, x, y, valid, drawn):
    """One pixel of ``sample_cubic`` whose neighbours do not all exist."""
    h, w, _ = pixels.shape
    for k in range(3):
        drawn[k] = 0
    if not valid:
        return
    first_x, first_y = int(np.floor(x)), int(np.floor(y))
    column, row = int((x - first_x) * PHASES), int((y - first_y) * PHASES)
    for k in range(3):
        for b in range(4):
            line, total = min(max(first_y - 1 + b, 0), h - 1), np.float32(0)
            for a in range(4):
                total += DOWN[4 * column + a] * pixels[line, min(max(first_x - 1 + a, 0), w - 1), k]
            drawn[k] += DOWN[4 * row + b] * total
