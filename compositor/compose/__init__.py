"""From a registration and photos to a panorama."""

from compositor.compose.canvas import plan_canvas
from compositor.compose.composition import compose_photos
from compositor.compose.memory import check_memory, estimate_memory

__all__ = ["check_memory", "compose_photos", "estimate_memory", "plan_canvas"]
