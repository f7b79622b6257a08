"""Makes the README's moving picture: python research/synthetic_data/readme_picture.py work_dirs/demo/sample/sample.mp4 docs/sample.webp."""

import argparse

import cv2
from PIL import Image

from falldet.io.video import read_frames

WIDTH = 480
FPS = 10.0


def main() -> None:
    """Scale the video down, take ten frames a second, write an endless animation."""
    parser = argparse.ArgumentParser(description="Turn a short video into an animated WebP or GIF.")
    parser.add_argument("video")
    parser.add_argument("picture")
    arguments = parser.parse_args()
    pictures: list[Image.Image] = []
    for frame in read_frames(arguments.video):
        if frame.time_s * FPS < len(pictures):
            continue
        height = round(frame.image.shape[0] * WIDTH / frame.image.shape[1])
        small = cv2.resize(frame.image, (WIDTH, height), interpolation=cv2.INTER_AREA)
        pictures.append(Image.fromarray(cv2.cvtColor(small, cv2.COLOR_BGR2RGB)))
    pictures[0].save(
        arguments.picture, save_all=True, append_images=pictures[1:], duration=round(1000 / FPS), loop=0, quality=60
    )


if __name__ == "__main__":
    main()
