"""What a command tells about its result."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from compositor.cli.console import Console, named, one_line
from compositor.errors import counted
from compositor.options import ComposeOptions

if TYPE_CHECKING:
    from compositor.compose.layers import Refine
    from compositor.panorama import Panorama
    from compositor.photometry import Photometry
    from compositor.registration import LocalAlignment, Registration
    from compositor.types import Canvas, Photo

__all__ = ["report_panorama", "report_plan", "report_registration"]


def report_panorama(console: Console, command: str, panorama: Panorama, *, seconds: Mapping[str, float], **more: object) -> int:
    """Tell what was made and what was left out; the exit code for it.

    Parameters
    ----------
    console : Console
    command : str
        Name of the command.
    panorama : Panorama
    seconds : mapping
        Wall time by stage.
    **more : object
        Further fields for ``--json``; ``output`` is where the picture went.
    """
    height, width = panorama.owner.shape
    registration = with_left_out(panorama.registration, console)
    projection, used, left_out = panorama.canvas.projection, panorama.used, registration.left_out
    console.say(f"{more['output']}: {width}x{height}, {projection}, {len(used)} of {counted(len(used) + len(left_out), 'photo')}")
    fields = registration_fields(registration, seconds)
    fields |= {"size": [width, height], "projection": projection, "light": light_fields(panorama.photometry)}
    console.result(command, {**fields, **more})
    return 3 if left_out else 0


def report_registration(console: Console, registration: Registration, *, seconds: Mapping[str, float], output: str) -> int:
    """Tell which photos belong together; the exit code for it."""
    registration = with_left_out(registration, console)
    used, left_out = registration.cameras, registration.left_out
    console.say(f"{output}: {len(used)} of {counted(len(used) + len(left_out), 'photo')}, error {registration.error:.2f} px")
    console.result("register", {**registration_fields(registration, seconds), "output": output})
    return 3 if left_out else 0


def report_plan(
    console: Console,
    registration: Registration,
    photos: Sequence[Photo],
    options: Mapping[str, Any],
    *,
    seconds: Mapping[str, float],
    refine: Refine | None,
    approve: Callable[[Canvas], None],
) -> int:
    """Tell what composing these photos would make and need; the exit code for it."""
    from compositor.compose import Demands, choose_holding, estimate_memory, plan_canvas, turned
    from compositor.stitch import one_photo_per_camera

    chosen = ComposeOptions.of(options)
    used = one_photo_per_camera(registration, photos)
    registration = turned(registration.fitted_to([(photo.name, photo.size) for photo in used]), chosen)
    canvas = plan_canvas(registration, chosen)
    approve(canvas)
    demands = Demands.of(used, refine)
    holding = choose_holding(registration, canvas, chosen, used[0].dtype, demands=demands)
    memory = estimate_memory(registration, canvas, chosen, used[0].dtype, demands=demands, holding=holding)
    registration = with_left_out(registration, console)
    fields = registration_fields(registration, seconds)
    fields |= {"size": list(canvas.size), "projection": canvas.projection, "memory_mb": round(memory / 1e6, 1), "output": None}
    lines = [
        f"used        {', '.join(map(one_line, fields['used']))}",
        *(f"left out    {one_line(name)}" for name, _ in registration.left_out),
        f"projection  {canvas.projection}",
        f"size        {canvas.size[0]} x {canvas.size[1]} px, before cropping",
        f"memory      {memory / 1e6:.0f} MB{', the panorama itself on disk' if holding.on_disk else ''}",
    ]
    console.result("plan", fields, "\n".join(lines))
    return 3 if registration.left_out else 0


def with_left_out(registration: Registration, console: Console) -> Registration:
    """The registration, which also knows what the command itself left out."""
    return dataclasses.replace(registration, left_out=(*registration.left_out, *console.left_out))


def light_fields(photometry: Photometry) -> dict[str, Any]:
    """What ``--json`` tells of the photos' light."""
    lights = [
        {
            "name": light.name,
            "exposure_stops": round(light.exposure_stops, 4),
            "white_balance": [round(factor, 4) for factor in light.white_balance],
            "corner_stops": round(light.corner_stops, 4),
        }
        for light in photometry.lights
    ]
    return {"photos": lights, "shoulder": round(photometry.shoulder, 4)}


def registration_fields(registration: Registration, seconds: Mapping[str, float]) -> dict[str, Any]:
    """What ``--json`` tells of a registration."""
    return {
        "used": [camera.name for camera in registration.cameras],
        "left_out": named(registration.left_out),
        "model": registration.model,
        "error_px": round(registration.error, 4),
        "confidence": round(registration.confidence, 4),
        "doubts": list(registration.doubts),
        "notes": list(registration.notes),
        "local_alignment": local_fields(registration.local),
        "seconds": {stage: round(value, 4) for stage, value in seconds.items()},
        "peak_memory_mb": peak_memory_mb(),
    }


def local_fields(local: LocalAlignment | None) -> dict[str, float] | None:
    """What ``--json`` tells of the meshes, if there are any."""
    if local is None:
        return None
    return {"before": round(local.before, 4), "after": round(local.after, 4), "bending": round(local.bending, 4)}


def peak_memory_mb() -> float | None:
    """Most memory this process has held so far, MB; None where the system does not tell, as on Windows."""
    try:
        import resource
    except ImportError:
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(peak / (1e6 if sys.platform == "darwin" else 1e6 / 1024), 1)
