"""Single photos without their lens's distortion and vignetting, at another exposure."""

from __future__ import annotations

import dataclasses

import numpy as np

from compositor.compose.composition import compose_photos
from compositor.errors import OptionError, PhotometryFileError, RegistrationFileError
from compositor.options import ComposeOptions, CorrectOptions
from compositor.panorama import Panorama
from compositor.photometry import Photometry
from compositor.registration import Registration
from compositor.types import Camera, Canvas, Photo, Progress

__all__ = ["correct_photo", "lens_of", "light_of"]


def correct_photo(photo: Photo, camera: Camera, photometry: Photometry, options: CorrectOptions, progress: Progress) -> Panorama:
    """A panorama of one photo, as a lens that draws straight lines and shades nothing would have taken it.

    Parameters
    ----------
    photo : Photo
    camera : Camera
        Its lens; where it looked plays no part.
    photometry : Photometry
        What to do to its light.
    options : CorrectOptions
        ``threads`` is used.
    progress : callable

    Returns
    -------
    Panorama
        Of the photo's size and focal length; empty where the photo does not reach.
    """
    straight = dataclasses.replace(camera, name=photo.name, rotation=np.eye(3), plane=None, mesh=None)
    canvas = Canvas("plane", camera.focal, -camera.center[0], -camera.center[1], camera.size)
    chosen = ComposeOptions(threads=options.threads, projection="plane")
    return compose_photos(Registration("rotation", (straight,)), [photo], chosen, canvas=canvas, photometry=photometry, progress=progress)


def lens_of(photo: Photo, registration: Registration | None, options: CorrectOptions) -> Camera:
    """The camera of a photo: by its name, or the one that all registered photos share, or one made of the options' numbers.

    Raises
    ------
    OptionError
        There are both a registration and a distortion, or a distortion and no focal length.
    RegistrationFileError
        The registration does not hold the photo and holds several lenses, or a photo of other proportions.
    """
    if registration is None:
        w, h = photo.size
        focal = options.focal or photo.focal
        if focal is None and any(options.distortion):
            raise OptionError(f"{photo.name} does not tell its focal length, in which the distortion is measured; give focal=, in px")
        return Camera(photo.name, photo.size, focal or float(np.hypot(w, h)), ((w - 1) / 2, (h - 1) / 2), np.eye(3), options.distortion)
    if any(options.distortion) or options.focal:
        raise OptionError("the registration tells focal= and distortion= already; give it or them")
    found = [camera for camera in registration.cameras if camera.name == photo.name] or list(registration.cameras)
    if len({(camera.size, camera.focal, camera.distortion) for camera in found}) != 1:
        raise RegistrationFileError(
            f"the registration does not hold {photo.name} once, and its photos have different lenses; give one of them"
        )
    (camera,) = dataclasses.replace(registration, cameras=(found[0],)).fitted_to([(photo.name, photo.size)]).cameras
    return camera


def light_of(photo: Photo, photometry: Photometry | None, options: CorrectOptions) -> Photometry:
    """What is to be done to a photo's light: by its name, or what all photos share, or what the options' numbers say.

    Raises
    ------
    OptionError
        There are both photometry and a falloff.
    PhotometryFileError
        The photometry does not hold the photo and holds several lenses.
    """
    if photometry is None:
        neutral = Photometry.neutral([photo.name])
        found = dataclasses.replace(neutral, vignetting=np.array([options.vignetting], np.float64))
    elif any(options.vignetting):
        raise OptionError("the photometry tells vignetting= already; give it or the terms")
    elif photometry.names.count(photo.name) == 1:
        found = photometry.fitted_to([photo.name])
    elif len(photometry.names) and (photometry.vignetting == photometry.vignetting[0]).all():
        # The lens is known, the exposure is not.
        found = dataclasses.replace(photometry, names=(photo.name,), gains=np.ones((1, 3)), vignetting=photometry.vignetting[:1])
    else:
        raise PhotometryFileError(f"the photometry does not hold {photo.name} once, and its photos have different lenses; give one of them")
    return dataclasses.replace(found, gains=found.gains * 2.0**options.exposure)
