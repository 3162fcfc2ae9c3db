"""Which tile goes where in a mosaic: nearest descriptors, and their assignment without repetition nearby.

Descriptors are (n, d) float32, rotated so that their axes come in order of falling variance, and those of the tiles sorted by their first
axis. A distance is a sum of squares over the axes; it is abandoned as soon as it exceeds what it has to beat, mostly after the first few.
``chosen`` (rows * columns,) int32 is the tile of each cell, -1 for none; ``offsets`` (m, 2) int64 are the rows and columns from a cell to
those near it, without itself, symmetric. Nothing is checked: indices must be in range, and there must be more tiles than cells nearby.
"""

import numpy as np
from numba import njit


@njit(cache=True, nogil=True)
def _distance(a, b, most):
    """Squared distance, or some value of at least ``most`` where it is not below that."""
    total = np.float32(0.0)
    for axis in range(a.shape[0]):
        apart = a[axis] - b[axis]
        total += apart * apart
        if total >= most:
            break
    return total


@njit(cache=True, nogil=True)
def _insert(value, point, found, distances):
    """Put a point into a list sorted by distance, whose last entry falls out."""
    place = distances.shape[0] - 1
    while place > 0 and distances[place - 1] > value:
        distances[place] = distances[place - 1]
        found[place] = found[place - 1]
        place -= 1
    distances[place] = value
    found[place] = point


@njit(cache=True, nogil=True)
def nearest_tiles(cells, tiles, found, distances):
    """The tiles nearest to each cell, exactly.

    From where the cell lies among the tiles on the first axis the search goes outwards both ways, until that axis alone is too far.
    ``found`` (cells, k) int32 and ``distances`` (cells, k) float32 are outputs, nearest first; k is at most the number of tiles.
    """
    count = tiles.shape[0]
    first_axis = tiles[:, 0].copy()
    for cell in range(cells.shape[0]):
        wanted = cells[cell]
        distances[cell, :] = np.inf
        found[cell, :] = -1
        right = np.searchsorted(first_axis, wanted[0])
        left = right - 1
        while True:
            to_left = wanted[0] - first_axis[left] if left >= 0 else np.float32(np.inf)
            to_right = first_axis[right] - wanted[0] if right < count else np.float32(np.inf)
            apart = min(to_left, to_right)
            most = distances[cell, -1]
            if apart * apart >= most:
                break
            point = left if to_left <= to_right else right
            if to_left <= to_right:
                left -= 1
            else:
                right += 1
            value = _distance(wanted, tiles[point], most)
            if value < most:
                _insert(value, point, found[cell], distances[cell])


@njit(cache=True, nogil=True)
def _near(chosen, rows, columns, cell, tile, offsets, ignored):
    """A cell near this one that shows the tile, other than ``ignored``: -1 for none, -2 for several."""
    row, column, seen = cell // columns, cell % columns, -1
    for k in range(offsets.shape[0]):
        y, x = row + offsets[k, 0], column + offsets[k, 1]
        if 0 <= y < rows and 0 <= x < columns:
            other = y * columns + x
            if chosen[other] == tile and other != ignored:
                if seen >= 0:
                    return -2
                seen = other
    return seen


@njit(cache=True, nogil=True)
def assign_tiles(cells, tiles, found, distances, order, columns, offsets, most_uses, chosen, costs, uses):
    """Give the cells, in this order, the nearest tile that is not shown nearby and not used up.

    A cell none of whose candidates is left takes the best of all tiles. ``chosen``, -1 before, ``costs`` (cells,) float32 and ``uses``
    (tiles,) int64, 0 before, are outputs.
    """
    rows = chosen.shape[0] // columns
    marked = np.full(tiles.shape[0], -1, np.int64)
    for cell in order:
        row, column = cell // columns, cell % columns
        for k in range(offsets.shape[0]):
            y, x = row + offsets[k, 0], column + offsets[k, 1]
            if 0 <= y < rows and 0 <= x < columns and chosen[y * columns + x] >= 0:
                marked[chosen[y * columns + x]] = cell
        best, cost = -1, np.float32(np.inf)
        for k in range(found.shape[1]):
            tile = found[cell, k]
            if marked[tile] != cell and uses[tile] < most_uses:
                best, cost = tile, distances[cell, k]
                break
        if best < 0:
            for tile in range(tiles.shape[0]):
                if marked[tile] != cell and uses[tile] < most_uses:
                    value = _distance(cells[cell], tiles[tile], cost)
                    if value < cost:
                        best, cost = tile, value
        chosen[cell], costs[cell] = best, cost
        uses[best] += 1


@njit(cache=True, nogil=True)
def improve_tiles(cells, tiles, found, distances, order, columns, offsets, most_uses, chosen, costs, uses):
    """One round over all cells that makes the sum of distances smaller, in place; the number of changes.

    A cell takes a nearer candidate that is free. Where one cell alone stands in the way, that one gets the best for itself of its own
    candidates and the tile that is given up, if both together are nearer then.
    """
    rows, changes = chosen.shape[0] // columns, 0
    holder = np.full(tiles.shape[0], -1, np.int64)
    for cell in range(chosen.shape[0]):
        holder[chosen[cell]] = cell
    for cell in order:
        for k in range(found.shape[1]):
            tile, cost = found[cell, k], distances[cell, k]
            if cost >= costs[cell]:
                break
            given_up = chosen[cell]
            other = _near(chosen, rows, columns, cell, tile, offsets, cell)
            if other == -1 and uses[tile] >= most_uses:
                other = holder[tile]
                if other < 0 or chosen[other] != tile or _near(chosen, rows, columns, cell, tile, offsets, other) != -1:
                    continue
            if other == -2:
                continue
            if other == -1:
                uses[given_up] -= 1
                uses[tile] += 1
                chosen[cell], costs[cell], holder[tile] = tile, cost, cell
                changes += 1
                break
            # The other cell moves away from ``tile``; what both may pay together is what they pay now.
            most = costs[cell] + costs[other] - cost
            chosen[cell], chosen[other] = tile, -1
            best, best_cost = -1, np.float32(most)
            if _near(chosen, rows, columns, other, given_up, offsets, -1) == -1:
                value = _distance(cells[other], tiles[given_up], best_cost)
                if value < best_cost:
                    best, best_cost = given_up, value
            for j in range(found.shape[1]):
                if distances[other, j] >= best_cost:
                    break
                option = found[other, j]
                if option != tile and uses[option] < most_uses and _near(chosen, rows, columns, other, option, offsets, -1) == -1:
                    best, best_cost = option, distances[other, j]
                    break
            # Rounding must not let two cells exchange for ever.
            if best < 0 or best_cost >= most * np.float32(0.9999):
                chosen[cell], chosen[other] = given_up, tile
                continue
            uses[given_up] -= 1
            uses[best] += 1
            chosen[other], costs[other], costs[cell] = best, best_cost, cost
            holder[tile], holder[best] = cell, other
            changes += 1
            break
    return changes
