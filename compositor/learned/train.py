"""Everything that can be trained: what each training reads, what learns from it, and what its card says.

A ``learner`` is what changes in a training, makes its batches, takes a step and measures; ``course`` checks places, device and threads,
``loop`` runs it, ``milestones`` and ``figures`` say in words how far it has come and what it measures. An eighth training needs a record of
options (named in ``options/__init__`` too), a learner, a description here, its name in ``__all__``, ``_HOMES`` and the imports for type
checkers of ``learned/__init__``, a call of ``add_training`` in ``cli/train.py``, and words for its figures in ``figures``.
"""

from __future__ import annotations

from typing import Any

from compositor.learned.collection import Collection
from compositor.learned.contrast import Contrast
from compositor.learned.gan import GanTraining
from compositor.learned.harmonizing import HarmonizerTraining
from compositor.learned.labelled import Labelled
from compositor.learned.loop import Trainer
from compositor.learned.painting import PainterTraining, Subjects
from compositor.learned.photographs import CONFUSION, SAMPLES, Photographs
from compositor.learned.recognition import Recognition
from compositor.learned.training import Training
from compositor.learned.vae import VaeTraining
from compositor.options import ClassifierOptions, EncoderOptions, GanOptions, HarmonizerOptions, PainterOptions, TrainOptions, VaeOptions

__all__ = ["train_classifier", "train_encoder", "train_gan", "train_harmonizer", "train_painter", "train_refiner", "train_vae"]

NEW_PICTURES = """\
Meant for new pictures in the manner of those it learned from, and for looking at what was learned. What it makes is invented, however much
it may look like a photo."""
OBJECTS = """\
Meant for objects that were pasted on another picture: it proposes one change of exposure, white balance, contrast, saturation and haze for
the whole object, from what the object, its surroundings and the border between them show. It learned from parts of photos in another
light, whose borders tell more than those of a thing from elsewhere. It changes an object by 10 of 255 levels at most (root mean square)."""
UNSEEN = "pictures that were not learned from"


def _photographs(photos: Any, options: Any) -> tuple[Photographs, Photographs]:
    return Photographs.read(photos, threads=options.threads)


def _collection(folder: Any, options: Any) -> tuple[Collection, Collection]:
    return Collection.read(folder, options.size, threads=options.threads)


def _labelled(folder: Any, options: Any) -> tuple[Labelled, Labelled]:
    return Labelled.read(folder, size=options.size, threads=options.threads).parted()


train_refiner = Trainer(
    name="refiner",
    options=TrainOptions,
    read=_photographs,
    learner=Training.prepared,
    called="the seam refiner",
    meant="""\
Meant for seams between overlapping photos that the classical stages have matched already. It sees sRGB-encoded colour; a change near a
seam stays within what both photos show there. Not meant for pasted objects.""",
    measured="scenes that were not learned from",
    also=(".critic.safetensors",),
)
train_encoder = Trainer(
    name="encoder",
    options=EncoderOptions,
    read=_photographs,
    learner=Contrast.prepared,
    called="the encoder of pictures",
    meant="""\
Meant for finding photos that overlap, or, where its squares were from anywhere, for features of pictures like these to learn from where
labels are few. It learned without labels, from pairs of squares of one photo each. It sees sRGB-encoded colour, about 100 px of a picture's
shorter side. With the network comes a vocabulary of 256 words of 32 numbers, made of the same photos' SIFT features, by which overlaps are
found; the figures are the network's. Not meant for telling who a person is.""",
    measured="pairs of squares of photos not learned from",
)
train_harmonizer = Trainer(
    name="harmonizer",
    options=HarmonizerOptions,
    read=_photographs,
    learner=HarmonizerTraining.prepared,
    called="the harmonizer",
    meant=OBJECTS,
    measured="things in photos that were not learned from",
)
train_gan = Trainer(
    name="gan",
    options=GanOptions,
    read=_collection,
    learner=GanTraining.prepared,
    called="the generator",
    meant=NEW_PICTURES,
    measured=UNSEEN,
    also=(SAMPLES,),
    folder=True,
)
train_vae = Trainer(
    name="vae",
    options=VaeOptions,
    read=_collection,
    learner=VaeTraining.prepared,
    called="the autoencoder",
    meant=NEW_PICTURES,
    measured=UNSEEN,
    also=(SAMPLES,),
    folder=True,
)
train_painter = Trainer(
    name="painter",
    options=PainterOptions,
    read=Subjects.read,
    learner=PainterTraining.prepared,
    called="a painter",
    meant="""\
Meant for painting pictures in the manner of the pictures named below, in one pass; it sees pictures that were given the style's colours,
which are in the file. Strokes have a size in px: a large picture gets more of them, not larger ones.""",
    measured="parts of photos that were not learned from",
    also=(SAMPLES,),
)
train_classifier = Trainer(
    name="classifier",
    options=ClassifierOptions,
    read=_labelled,
    learner=Recognition.prepared,
    called="a classifier",
    meant="""\
Meant for telling the classes below apart, in pictures like those it learned from; of a picture of anything else it tells one of them all
the same. Probabilities were calibrated on the pictures that are measured on, corrected by how hard these are beside those learned from;
they also decided which weights are the best: the figures are a little too good, and other pictures should judge.""",
    measured=UNSEEN,
    also=(CONFUSION,),
    folder=True,
)
