"""What encoding the pictures of EmojiWorld costs beside the encoder's own bare loop.

    python benchmarks/encoding.py [ENCODER ...]

The bare loop calls the encoder on batches of pictures that are in memory already; ours finds, sums, decodes, encodes
and keeps them. Both run in one process, in turns; CPU seconds.
"""

import argparse
import tempfile
import time
from pathlib import Path

from torch_geometric_dsom.datasets import EmojiWorld
from torch_geometric_dsom.datasets.encode import BATCH
from torch_geometric_dsom.encoders import encoder_name, make_encoder


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("encoders", nargs="*", default=["auto", "pixels"], help="names of encoders of pictures")
    parser.add_argument("--rounds", type=int, default=2)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as root:
        dataset = EmojiWorld(root)
        rows = dataset[0].image_mask.nonzero().flatten().tolist()
        pictures = [dataset.image(row) for row in rows]
        for name in dict.fromkeys(encoder_name("image", name) for name in arguments.encoders):
            encoder = make_encoder("image", name)
            ours, bare = [], []
            for number in range(arguments.rounds):
                start = time.process_time()
                for place in range(0, len(pictures), BATCH):
                    encoder(pictures[place : place + BATCH])
                bare.append(time.process_time() - start)
                start = time.process_time()
                EmojiWorld(Path(root, f"{name}-{number}")).reencode(encoder)
                ours.append(time.process_time() - start)
            start = time.process_time()
            EmojiWorld(Path(root, f"{name}-0")).reencode(encoder)
            again = time.process_time() - start
            print(
                f"{name}: {len(pictures)} pictures, bare loop {min(bare):.2f} s, ours {min(ours):.2f} s, "
                f"ratio {min(ours) / min(bare):.2f}; kept already {again:.2f} s"
            )


if __name__ == "__main__":
    main()
