"""The falls of a video: python examples/five_lines.py video.mp4."""

import sys

from falldet import FallDetector, read_frames

results = FallDetector().run(read_frames(sys.argv[1]))
falls = {event.id: event for result in results for event in result.events}  # an event is given again when it changes
for fall in falls.values():
    print(f"person #{fall.track_id} fell at {fall.alert_s:.1f} s and is {fall.state}")
