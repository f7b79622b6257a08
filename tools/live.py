"""Watch cameras for falls until stopped; the same as `falldet live`.

python tools/live.py hall=rtsp://192.0.2.7:554/sub
"""

from falldet.cli.live import main

if __name__ == "__main__":
    raise SystemExit(main())
