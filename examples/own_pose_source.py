"""Poses from a model of one's own: python examples/own_pose_source.py video.mp4."""

import sys
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np

from falldet import Config, FallDetector, People, read_frames
from falldet.pose.movenet import MoveNet


class TallPeople:
    """MoveNet's people, without those who are small in the image, such as people on a screen."""

    max_in_flight = 2  # inferences at the same time

    def __init__(self, min_size_px: float) -> None:
        self.min_size_px = min_size_px
        self.model = MoveNet(Config().movenet)  # your model goes here
        self.threads = ThreadPoolExecutor(self.max_in_flight)

    def submit(self, image: np.ndarray) -> Future[People]:
        return self.threads.submit(self.estimate, image)

    def estimate(self, image: np.ndarray) -> People:
        found = self.model.submit(image).result()
        sides = found.boxes[:, 2:] - found.boxes[:, :2]
        large = sides.max(axis=1) >= self.min_size_px
        # (N, 17, 2) pixels in COCO's order, (N, 17) scores, (N, 4) boxes x0 y0 x1 y1 in pixels, (N,) scores
        return People(found.keypoints[large], found.scores[large], found.boxes[large], found.box_scores[large])

    def reset(self) -> None:
        self.model.reset()


results = FallDetector(pose_source=TallPeople(60.0)).run(read_frames(sys.argv[1]), prefetch=2)
falls = {event.id: event for result in results for event in result.events}
for fall in falls.values():
    print(f"person #{fall.track_id} fell at {fall.alert_s:.1f} s and is {fall.state}")
