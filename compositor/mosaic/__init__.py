"""One picture composed of many: tiles chosen by what they look like from afar."""

from compositor.mosaic.compose import Features, grid_of, mosaic
from compositor.mosaic.picture import Mosaic

__all__ = ["Features", "Mosaic", "grid_of", "mosaic"]
