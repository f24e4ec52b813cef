"""How a net is trained: the settings of ``conf/trainer/``."""

from __future__ import annotations

from dataclasses import dataclass

from roottip.errors import check_number


@dataclass(frozen=True)
class Recipe:
    """How a net is trained.

    Attributes
    ----------
    rounds, steps, batch : int
        Between two rounds the training images are scanned for false alarms to learn from;
        `steps` a round, `batch` samples a step. With 0 rounds nothing is learnt: the net that
        training would start from is calibrated on these images, and its threshold chosen.
    rate : float
        Peak of the learning rate.
    features : int
        Kernels of the net's inner layers; with a net to start from that one's.
    tip_weight : float
        How many non-tips a tip counts for in the loss; more makes the first steps faster, less
        makes the scores truer.
    offset_weight : float
        What a px of a window's offset from the tip weighs in the loss. Where marks are exact, more
        of it tells neighbours apart; fitted to few photographs a net with more, such as 0.2, finds
        fewer tips.
    patience : int
        Rounds without a better F1 on the held-out groups before training stops.
    glance_steps : int
        Steps of the training of the net's glance, ``model.glance.onnx``, with which detection is
        faster; 0 makes none. A net to start from that has one hands it on in their place.
    review_steps : int
        Steps of the training of the net's review, ``model.review.onnx``, which looks at each find
        again; worth it where many plates are trained with. It is kept if it raises F1 on the
        images that choose the threshold. 0 trains none: the review of a net to start from is kept
        unless it lowers F1 on these images by more than chance does.
    workers : int
        Processes that make samples.
    accelerator, devices, num_nodes
        Lightning's.
    precision : str
        Lightning's, or ``auto``, as `module.precision_of` says.

    Raises
    ------
    InputError
        A number is out of its range.
    """

    rounds: int = 14
    steps: int = 400
    batch: int = 128
    rate: float = 2e-3
    features: int = 64
    tip_weight: float = 2.0
    offset_weight: float = 0.02
    patience: int = 14
    glance_steps: int = 2000
    review_steps: int = 0
    workers: int = 1
    accelerator: str = "auto"
    devices: int | str = 1
    num_nodes: int = 1
    precision: str = "32-true"

    def __post_init__(self) -> None:
        for name, least in (
            ("rounds", 0),
            ("steps", 1),
            ("batch", 1),
            ("features", 1),
            ("patience", 0),
            ("workers", 0),
            ("glance_steps", 0),
            ("review_steps", 0),
        ):
            check_number(f"trainer.{name}", getattr(self, name), least, whole=True)
        check_number("trainer.rate", self.rate, 0)
        check_number("trainer.tip_weight", self.tip_weight, 0, above=True)
        check_number("trainer.offset_weight", self.offset_weight, 0)


FULL = Recipe()
"""As ``conf/trainer/default.yaml`` has it."""
