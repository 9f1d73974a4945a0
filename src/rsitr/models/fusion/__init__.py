"""The fusion model of MTGFE: two sides, an encoder that reads both, and what scores pairs with it (METHODS 3)."""

from rsitr.models.fusion.checkpoint import KIND, build_vocabulary, is_fusion, load_fusion, save_fusion
from rsitr.models.fusion.config import FusionConfig
from rsitr.models.fusion.heads import MlmHead, Predictor, Projector, synchronise_norms
from rsitr.models.fusion.model import FusionModel, image_sequence, match_score
from rsitr.models.fusion.scorer import PairScorer
from rsitr.models.fusion.sides import TextStates
from rsitr.models.fusion.vocabulary import BpeVocabulary, Vocabulary
from rsitr.models.wordpiece import Word, WordPieceVocabulary

__all__ = [
    "KIND",
    "BpeVocabulary",
    "FusionConfig",
    "FusionModel",
    "MlmHead",
    "PairScorer",
    "Predictor",
    "Projector",
    "TextStates",
    "Vocabulary",
    "Word",
    "WordPieceVocabulary",
    "build_vocabulary",
    "image_sequence",
    "is_fusion",
    "load_fusion",
    "match_score",
    "save_fusion",
    "synchronise_norms",
]
