"""One picture in the style of another: its colours here, its patches by a painter that is given."""

from compositor.style.colors import linear_transfer, transfer_colors
from compositor.style.regrain import regrain
from compositor.style.stylize import Paint, Styled, style

__all__ = ["Paint", "Styled", "linear_transfer", "regrain", "style", "transfer_colors"]
