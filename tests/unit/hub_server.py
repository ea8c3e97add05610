"""A small stand-in for the Hugging Face hub on this machine: what huggingface_hub asks for to fetch one model."""

import contextlib
import hashlib
import json
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

COMMIT = "0123456789abcdef0123456789abcdef01234567"


class Hub:
    """Serves the files of `folder` as `model_id` at the branch `main`.

    `fetched` has the names of files that were sent, `tokens` the authorizations that came; a `token` that is set must
    come. While `cut_after` is a number, connections are cut after so many bytes of a file.
    """

    def __init__(self, folder, model_id):
        self.folder, self.model_id = folder, model_id
        self.token = self.cut_after = None
        self.fetched, self.tokens = [], set()

    def answer(self, request):
        self.tokens.add(request.headers.get("Authorization"))
        if self.token and request.headers.get("Authorization") != f"Bearer {self.token}":
            # As the hub does for a model that one may not see.
            return request.say(401, {"error": "Invalid username or password."}, {"X-Error-Code": "RepoNotFound"})
        if match := re.fullmatch(f"/api/models/{self.model_id}/revision/(.+)", request.path):
            if match[1] not in ("main", COMMIT):
                return request.say(404, {"error": "Invalid rev id"}, {"X-Error-Code": "RevisionNotFound"})
            siblings = [{"rfilename": name} for name in self.files()]
            return request.say(200, {"id": self.model_id, "sha": COMMIT, "siblings": siblings, "private": False})
        if request.path.startswith(f"/api/models/{self.model_id}/tree/{COMMIT}"):
            sizes = {name: (self.folder / name).stat().st_size for name in self.files()}
            return request.say(
                200, [{"type": "file", "path": name, "size": size, "oid": COMMIT} for name, size in sizes.items()]
            )
        if match := re.fullmatch(f"/{self.model_id}/resolve/{COMMIT}/(.+)", request.path):
            return self.send(request, match[1])
        return request.say(404, {"error": "Not found"}, {"X-Error-Code": "RepoNotFound"})

    def files(self):
        return [str(file.relative_to(self.folder)) for file in sorted(self.folder.rglob("*")) if file.is_file()]

    def send(self, request, name):
        content = (self.folder / name).read_bytes()
        start = int(re.sub(r"\D", "", request.headers.get("Range", "0").split("-")[0]) or 0)
        headers = {"ETag": f'"{hashlib.sha256(content).hexdigest()}"', "X-Repo-Commit": COMMIT}
        request.send_response(206 if start else 200)
        for key, value in (headers | {"Content-Length": str(len(content) - start)}).items():
            request.send_header(key, value)
        if start:
            request.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        request.end_headers()
        if request.command == "HEAD":
            return
        self.fetched.append(name)
        if self.cut_after is not None and len(content) > self.cut_after:
            request.wfile.write(content[start : max(start, self.cut_after)])
            request.close_connection = True
            return
        request.wfile.write(content[start:])


@contextlib.contextmanager
def running(folder, model_id):
    """A `Hub` on a free port of the loopback interface; its `url` is for `HF_ENDPOINT`."""
    hub = Hub(folder, model_id)

    class Request(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self):
            hub.answer(self)

        do_HEAD = do_GET

        def say(self, status, content, headers=()):
            body = json.dumps(content).encode()
            self.send_response(status)
            for key, value in {
                "Content-Type": "application/json",
                "Content-Length": str(len(body)),
                **dict(headers),
            }.items():
                self.send_header(key, value)
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(body)

        def log_message(self, *_arguments):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Request)
    hub.url = f"http://127.0.0.1:{server.server_port}"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
