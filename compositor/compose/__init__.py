"""From a registration and photos to a panorama."""

from compositor.compose.canvas import plan_canvas
from compositor.compose.composition import compose_photos
from compositor.compose.correct import correct_photo, lens_of, light_of
from compositor.compose.memory import Demands, choose_holding, estimate_memory
from compositor.compose.view import turned

__all__ = [
    "Demands",
    "choose_holding",
    "compose_photos",
    "correct_photo",
    "estimate_memory",
    "lens_of",
    "light_of",
    "plan_canvas",
    "turned",
]
