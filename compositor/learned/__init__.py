"""Networks and their training: the only home of PyTorch, which the extra «learned» installs. Importing this loads none of it.

Seams: ``photographs`` and ``seamlines`` draw what ``scenes`` makes two layers of, ``flaws`` are their differences; ``examples`` sends them
through the classical stages and cuts ``strips`` along the seam; ``network`` is what learns, by ``losses`` and a ``critic``, in
``training``. ``refiner`` is the network in use, which ``guard`` lets change a tile only where the seam can be seen to show less;
``panoramas`` sends a finished panorama through it.

Whole pictures: ``backbone`` is the network that looks at them, ``contrast`` how it learns what overlaps, ``encoder`` its use, beside
``descriptors`` and ``words`` that nobody learned by gradient; ``beside`` also puts parts beside wholes. ``grouping`` and ``clustering``
find sets by it, ``perception`` says how different two pictures look. ``recognition`` teaches it the classes of ``labelled`` pictures, told
beside their ``outlines`` and begun by regression (``ridge``); ``judgement`` says how well it knows them, ``classifier`` is its use.

Pasted objects: ``objects`` finds things in photos that could have been cut out, ``clues`` are samples of what can be seen of one, ``tones``
change colours, ``harmony`` is the network, ``harmonizing`` its training and ``harmonizer`` the network in use.

Pictures that are made: ``collection`` is a folder of small pictures, of which ``batches`` are drawn (``folders`` reads both these and
``labelled``); ``gan`` and ``vae`` learn to make such pictures, ``making`` is what they share. ``likeness`` is what a painting is judged
by, in ``style`` by descent and in ``painting``, which teaches the network of ``strokes``; ``painter`` is its use.

Everything learns in the same way, which ``train`` tells; ``vary`` shows pictures that are learned from in another place and light.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from compositor.errors import CompositorError

if TYPE_CHECKING:
    from compositor.learned.classifier import Classifier
    from compositor.learned.clustering import cluster
    from compositor.learned.encoder import Encoder
    from compositor.learned.gan import Gan
    from compositor.learned.grouping import group
    from compositor.learned.harmonizer import Harmonizer
    from compositor.learned.painter import TrainedPainter
    from compositor.learned.perception import Perception
    from compositor.learned.refiner import Refined, Refiner
    from compositor.learned.style import paint
    from compositor.learned.train import (
        train_classifier,
        train_encoder,
        train_gan,
        train_harmonizer,
        train_painter,
        train_refiner,
        train_vae,
    )
    from compositor.learned.vae import Vae

__all__ = [
    "Classifier",
    "Encoder",
    "Gan",
    "Harmonizer",
    "Perception",
    "Refined",
    "Refiner",
    "TrainedPainter",
    "Vae",
    "cluster",
    "group",
    "paint",
    "train_classifier",
    "train_encoder",
    "train_gan",
    "train_harmonizer",
    "train_painter",
    "train_refiner",
    "train_vae",
]

_HOMES = {
    "Classifier": "classifier",
    "Encoder": "encoder",
    "Gan": "gan",
    "Harmonizer": "harmonizer",
    "Perception": "perception",
    "Refined": "refiner",
    "Refiner": "refiner",
    "TrainedPainter": "painter",
    "Vae": "vae",
    "cluster": "clustering",
    "group": "grouping",
    "paint": "style",
    "train_classifier": "train",
    "train_encoder": "train",
    "train_gan": "train",
    "train_harmonizer": "train",
    "train_painter": "train",
    "train_refiner": "train",
    "train_vae": "train",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        module = importlib.import_module(f"compositor.learned.{_HOMES[name]}")
    except ModuleNotFoundError as error:
        if error.name not in ("torch", "safetensors"):
            raise
        raise CompositorError(
            f'{error.name} is not installed, which networks need; pip install "compositor[learned]", in a clone pip install ".[learned]"'
        ) from error
    return getattr(module, name)
