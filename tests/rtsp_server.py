"""A real RTSP server in a process of its own: GStreamer's, run by the system's Python, which alone has its bindings.

/usr/bin/python3 tests/rtsp_server.py PORT NAME=CLIP.mp4 ... [NAME=pattern] [--user USER --password PASSWORD]

Each client gets the clip from its start, in real time. `pattern` is a still test image; `ball` a moving one.
"""

import argparse

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstRtsp", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtsp, GstRtspServer  # noqa: E402

CLIP = "( filesrc location={} ! qtdemux ! h264parse config-interval=1 ! rtph264pay name=pay0 pt=96 )"
PATTERN = (
    "( videotestsrc is-live=true pattern={} ! video/x-raw,width=320,height=240,framerate=10/1 "
    "! x264enc tune=zerolatency key-int-max=10 ! rtph264pay name=pay0 pt=96 )"
)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("port")
    parser.add_argument("streams", nargs="+", metavar="NAME=CLIP")
    parser.add_argument("--user")
    parser.add_argument("--password")
    arguments = parser.parse_args()
    Gst.init(None)
    server = GstRtspServer.RTSPServer()
    server.set_address("127.0.0.1")
    server.set_service(arguments.port)
    if arguments.user:
        protect(server, arguments.user, arguments.password)
    for stream in arguments.streams:
        name, _, source = stream.partition("=")
        factory = GstRtspServer.RTSPMediaFactory()
        patterns = {"pattern": PATTERN.format("smpte100"), "ball": PATTERN.format("ball")}
        factory.set_launch(patterns.get(source) or CLIP.format(source))
        if arguments.user:
            permissions = GstRtspServer.RTSPPermissions()
            permissions.add_permission_for_role("viewer", "media.factory.access", True)
            permissions.add_permission_for_role("viewer", "media.factory.construct", True)
            factory.set_permissions(permissions)
        server.get_mount_points().add_factory(f"/{name}", factory)
    if server.attach(None) == 0:
        raise SystemExit(f"port {arguments.port} is taken")
    print("ready", flush=True)
    GLib.MainLoop().run()


def protect(server, user: str, password: str) -> None:
    auth = GstRtspServer.RTSPAuth()
    token = GstRtspServer.RTSPToken()
    token.set_string("media.factory.role", "viewer")
    auth.add_basic(GstRtspServer.RTSPAuth.make_basic(user, password), token)
    auth.set_supported_methods(GstRtsp.RTSPAuthMethod.BASIC)
    server.set_auth(auth)


if __name__ == "__main__":
    main()
