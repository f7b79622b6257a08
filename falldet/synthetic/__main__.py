"""Write a drawn scene to a video file: `python -m falldet.synthetic [NAME] OUT.mp4`."""

from __future__ import annotations

import argparse
import logging

from falldet.runtime import signals as cli
from falldet.synthetic import SCENES

_LOG = logging.getLogger(__name__)


def main() -> None:
    """Draw the scene that the command line names and log its falls."""
    from falldet.io.video_writer import VideoWriter

    parser = argparse.ArgumentParser("python -m falldet.synthetic", description="Write a drawn scene to a video file.")
    parser.add_argument("name", nargs="?", choices=SCENES, default="sample", help="which scene (default: %(default)s)")
    parser.add_argument("out", help="the video file to write, such as sample.mp4")
    arguments = parser.parse_args()
    scene = SCENES[arguments.name]()
    with VideoWriter(arguments.out) as writer:
        for frame in scene.frames():
            writer.write(frame.image, frame.time_s)
    for person, start_s, stop_s in scene.falls():
        _LOG.info("person %d falls from %.2f s to %.2f s", person, start_s, stop_s)
    _LOG.info("%s: %d pictures of the scene %s", arguments.out, len(scene.frame_times()), arguments.name)


if __name__ == "__main__":
    cli.run(main)
