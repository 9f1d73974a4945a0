"""Multi-view joint representations contrast: two views of an image, read with one text, agree (METHODS 3.3)."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F

__all__ = ["mvjrc_loss", "output_deviation"]


def mvjrc_loss(*, prediction_1: Tensor, projection_1: Tensor, prediction_2: Tensor, projection_2: Tensor) -> Tensor:
    """-(cos(p1, sg(z2)) + cos(p2, sg(z1))) / 2, the mean over the batch (MTGFE, equation 6).

    The projections are targets: no gradient goes through them, without which all outputs would collapse to one.

    Args:
        prediction_1: (B, D) p1 of the first view.
        projection_1: (B, D) z1.
        prediction_2: (B, D) p2 of the second view.
        projection_2: (B, D) z2.

    Returns:
        Scalar between -1 and 1.
    """
    first = F.cosine_similarity(prediction_1.float(), projection_2.detach().float(), dim=1)
    second = F.cosine_similarity(prediction_2.float(), projection_1.detach().float(), dim=1)
    return -(first.mean() + second.mean()) / 2


def output_deviation(projection: Tensor) -> Tensor:
    """Standard deviation over the batch of normalised outputs (B, D), the mean over channels.

    About 1 / sqrt(D) where outputs spread over the sphere, 0 where they have collapsed (Chen and He 2021, section 4.1).
    """
    return F.normalize(projection.detach().float(), dim=1).std(dim=0).mean()
