"""Placing an object of one picture on another: a soft edge without a halo, and no change of tone unless somebody asks for it."""

from compositor.paste.pasted import Harmonize, Pasted, paste

__all__ = ["Harmonize", "Pasted", "paste"]
