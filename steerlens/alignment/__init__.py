"""Cross-lingual alignment by training. Each method trains an adapter that makes the residuals of languages more similar. The
adapter can be compared with steering plans on the transfer-localization plane."""

from steerlens.alignment.aligned import Aligned, TrainingLog
from steerlens.alignment.calls import clo, continued, midalign, tune
from steerlens.alignment.cards import CARD, Card
from steerlens.alignment.clo import CrossLingualOptimization
from steerlens.alignment.continued import ContinuedTraining
from steerlens.alignment.inside import Inside, inside
from steerlens.alignment.keeping import Keep
from steerlens.alignment.losses import contrastive_loss, movement_loss, preference_loss
from steerlens.alignment.midalign import MidAlign
from steerlens.alignment.objectives import Example, Objective
from steerlens.alignment.several import Training, train_all
from steerlens.alignment.training import train
from steerlens.alignment.tuning import MultilingualTuning
from steerlens.training import TrainingSettings

__all__ = [
    "CARD",
    "Aligned",
    "Card",
    "ContinuedTraining",
    "CrossLingualOptimization",
    "Example",
    "Inside",
    "Keep",
    "MidAlign",
    "MultilingualTuning",
    "Objective",
    "Training",
    "TrainingLog",
    "TrainingSettings",
    "clo",
    "continued",
    "contrastive_loss",
    "inside",
    "midalign",
    "movement_loss",
    "preference_loss",
    "train",
    "train_all",
    "tune",
]
