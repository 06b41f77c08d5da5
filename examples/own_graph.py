"""A graph of one's own from nothing: draws 50 entities with pictures into a folder, trains, and predicts.

Forty figures have a colour and a shape that their pictures show. For half of them no fact tells it: what is to be
predicted is in no fact, only in the pictures, which the student itself never sees.

python examples/own_graph.py
python examples/own_graph.py --folder figures --draw-only   # the folder alone, to try the command line on
"""

import argparse
import random
import tempfile
from pathlib import Path

from PIL import Image, ImageDraw

from torch_geometric_dsom import DSoMTrainer
from torch_geometric_dsom.datasets import MMKGFolder
from torch_geometric_dsom.trainer import compare

COLOURS = {"red": "#d62728", "green": "#2ca02c", "blue": "#1f77b4", "yellow": "#e8b100", "violet": "#9467bd"}
SHAPES = {"circle": 0, "triangle": 3, "square": 4, "pentagon": 5, "hexagon": 6}


def draw(colour: str, shape: str, radius: int) -> Image.Image:
    """A filled figure on white."""
    image = Image.new("RGB", (96, 96), "white")
    if SHAPES[shape] == 0:
        box = (48 - radius, 48 - radius, 48 + radius, 48 + radius)
        ImageDraw.Draw(image).ellipse(box, fill=COLOURS.get(colour, colour))
    else:
        ImageDraw.Draw(image).regular_polygon((48, 48, radius), SHAPES[shape], fill=COLOURS.get(colour, colour))
    return image


def write_folder(folder: Path, seed: int = 0) -> None:
    """Facts as ``train.tsv``, ``valid.tsv``, ``test.tsv`` and pictures as ``images/<entity>.png``."""
    rng = random.Random(seed)
    images = folder / "images"
    images.mkdir(parents=True, exist_ok=True)
    figures = [f"figure {number:02}" for number in range(40)]
    facts: dict[str, list[str]] = {"train": [], "valid": [], "test": []}
    for number, figure in enumerate(figures):
        colour, shape = list(COLOURS)[number % 5], list(SHAPES)[number // 5 % 5]
        draw(colour, shape, rng.randint(28, 42)).save(images / f"{figure}.png")
        split = "train" if rng.random() < 0.5 else rng.choice(["valid", "test"])
        facts[split] += [f"{figure}\thas colour\t{colour}", f"{figure}\thas shape\t{shape}"]
        facts["train"] += [f"{figure}\tlies beside\t{other}" for other in rng.sample(figures, 2) if other != figure]
    for colour in COLOURS:
        Image.new("RGB", (96, 96), COLOURS[colour]).save(images / f"{colour}.png")
    for shape in SHAPES:
        draw("black", shape, 36).save(images / f"{shape}.png")
    for split, lines in facts.items():
        (folder / f"{split}.tsv").write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, help="where to draw; a temporary folder if not given")
    parser.add_argument("--draw-only", action="store_true", help="leave the folder and train nothing")
    parser.add_argument("--encoder", default="pixels", help="of pictures: auto, pixels, timm:resnet18, ...")
    parser.add_argument("--epochs", type=int, help="epochs of every phase at most")
    args = parser.parse_args()

    with tempfile.TemporaryDirectory() as temporary:
        folder = args.folder if args.folder is not None else Path(temporary, "figures")
        write_folder(folder)
        print(f"{folder}: {len(list(folder.glob('images/*.png')))} pictures")
        if args.draw_only:
            raise SystemExit
        data = MMKGFolder(folder, root=Path(temporary, "processed"), image_encoder=args.encoder)[0]
        print(data)
        fits = {} if args.epochs is None else {n: {"epochs": args.epochs} for n in ("student_fit", "teacher_fit")}
        trainer = DSoMTrainer(seed=0, **fits).fit(data)
        trainer.fit_baseline(data)
        print(compare(trainer, data))
        head, colour, _ = (folder / "test.tsv").read_text(encoding="utf-8").splitlines()[0].split("\t")
        for answer in trainer.predict(data, head=head, relation=colour, k=3):
            print(f"{head}, {colour}: {answer.label}  {answer.probability:.3f}")
