"""The README's animation from the demo's annotated video of the sample clip.

    make demo
    python -m research.synthetic_data.readme_picture work_dirs/demo/sample/sample.mp4 docs/sample.webp

Writes an endless animation, WebP or GIF, `WIDTH` pixels wide and with `FPS` frames per second. Needs Pillow.
"""

from __future__ import annotations

import argparse

import cv2
from PIL import Image

from falldet.cli.process import EXIT_OK, run
from falldet.io.video import read_frames

WIDTH = 480
FPS = 10.0


def main() -> int:
    """Scale the video down, sample its frames, write the animation."""
    parser = argparse.ArgumentParser(
        description="Turn a short video into an animated WebP or GIF.",
        epilog="example: python -m research.synthetic_data.readme_picture sample.mp4 docs/sample.webp",
    )
    parser.add_argument("video", help="a short video file")
    parser.add_argument("animation", help="the .webp or .gif file to write")
    arguments = parser.parse_args()
    images: list[Image.Image] = []
    for frame in read_frames(arguments.video):
        if frame.time_s * FPS < len(images):
            continue
        height = round(frame.image.shape[0] * WIDTH / frame.image.shape[1])
        small = cv2.resize(frame.image, (WIDTH, height), interpolation=cv2.INTER_AREA)
        images.append(Image.fromarray(cv2.cvtColor(small, cv2.COLOR_BGR2RGB)))
    images[0].save(
        arguments.animation, save_all=True, append_images=images[1:], duration=round(1000 / FPS), loop=0, quality=60
    )
    return EXIT_OK


if __name__ == "__main__":
    run(main)
