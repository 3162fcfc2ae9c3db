"""What the figures of trainings are called where people read them; logs and records keep their short names."""

from __future__ import annotations

__all__ = ["WORDS", "in_words"]

WORDS = {
    "iteration": "steps",
    "loss": "loss",
    "local": "loss near seams",
    "tone": "loss of tone",
    "critic": "loss of the critic",
    "still_floor_db": "dB beside seams before, still scenes",
    "still_refined_db": "dB beside seams after, still scenes",
    "still_floor_gradient": "error of gradients before, still scenes, levels",
    "still_refined_gradient": "error of gradients after, still scenes, levels",
    "moved_floor_db": "dB beside seams before, scenes with parallax",
    "moved_refined_db": "dB beside seams after, scenes with parallax",
    "moved_floor_gradient": "error of gradients before, scenes with parallax, levels",
    "moved_refined_gradient": "error of gradients after, scenes with parallax, levels",
    "clean_largest_change": "largest change where no seam was, levels",
    "tone_loss": "loss of tone on unseen scenes",
    "tone_loss_floor": "the same without the network",
    "critic_tells_hard": "how often the critic tells a bare seam",
    "critic_tells_floor": "how often it tells a classical result",
    "critic_tells_refined": "how often it tells a refined one",
    "found_first": "share of squares that find their other half first",
    "auc": "share of cases in which the other half looks more alike",
    "loss_db": "loss, dB",
    "recoloured_db": "dB of recoloured objects before",
    "gain_db": "dB gained",
    "share_worse": "share of objects made worse",
    "clean_db": "dB of objects that were right",
    "clean_worst_db": "dB of the worst of them",
    "generator": "loss of the generator",
    "judge": "loss of the judge",
    "judge_is_right": "how often the judge is right",
    "judge_is_right_unseen": "the same, of unseen pictures",
    "error": "error",
    "style": "distance from the style",
    "style_distance": "distance from the style, 1 for unpainted parts",
    "lines_kept": "how alike lines are to those of the photos",
    "nats": "nats that the numbers tell",
    "reconstruction_db": "dB of unseen pictures given back",
    "held_out_loss": "loss on unseen pictures",
    "right": "share of unseen pictures told right",
    "right_by_class": "the same, mean over classes",
    "calibration_error": "error of probabilities",
    "calibration_error_before": "the same before calibration",
}


def in_words(name: str, value: float) -> str:
    """A figure as people read it."""
    return f"{WORDS.get(name, name.replace('_', ' '))}: {value:.4g}"
