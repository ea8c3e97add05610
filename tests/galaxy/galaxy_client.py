"""What the tests ask of a running Galaxy as its user does: upload, run a tool or a workflow, wait, read the outputs."""

import json
import secrets
import time

import requests

POLL_SECONDS = 1
ENDED = {"ok", "error", "deleted", "paused", "failed", "stopped", "empty", "discarded", "failed_metadata"}


class NotInTimeError(Exception):
    """Galaxy did not finish something in the time it was given."""


class Client:
    """A fresh user of a Galaxy, `server` as `running_galaxy` yields it, with one history."""

    def __init__(self, server, name="test", email=None):
        self.url = server["url"]
        self.session = requests.Session()
        self.session.headers["x-api-key"] = server["key"]
        name = f"{name}-{secrets.token_hex(4)}"
        account = {"email": email or f"{name}@example.org", "username": name, "password": secrets.token_hex(8)}
        user = self.post("/api/users", account)
        self.session.headers["x-api-key"] = self.post(f"/api/users/{user['id']}/api_key", {})
        self.history = self.post("/api/histories", {"name": name})["id"]

    def _read(self, answer):
        if not answer.ok:
            raise requests.HTTPError(f"{answer.request.method} {answer.url}: {answer.status_code} {answer.text[:500]}")
        return answer.json()

    def get(self, path, **query):
        return self._read(self.session.get(self.url + path, params=query, timeout=120))

    def post(self, path, content):
        return self._read(self.session.post(self.url + path, json=content, timeout=120))

    def delete(self, path):
        return self._read(self.session.delete(self.url + path, timeout=120))

    def upload(self, path, extension):
        """Put a file into the history and wait until it is there; returns it as an input, {src, id}."""
        element = {"src": "files", "ext": extension, "name": path.name}
        targets = [{"destination": {"type": "hdas"}, "elements": [element]}]
        data = {"history_id": self.history, "targets": json.dumps(targets)}
        with open(path, "rb") as handle:
            answer = self.session.post(
                f"{self.url}/api/tools/fetch", data=data, files={"files_0|file_data": handle}, timeout=120
            )
        dataset = self._read(answer)["outputs"][0]["id"]
        self.wait(lambda: self.get(f"/api/datasets/{dataset}")["state"] in ENDED, 300, f"the upload of {path.name}")
        return {"src": "hda", "id": dataset}

    def run(self, tool, inputs):
        """Start a tool; returns Galaxy's answer, with `outputs`, `jobs` and so on."""
        return self.post("/api/tools", {"history_id": self.history, "tool_id": tool, "inputs": inputs})

    def invoke(self, workflow, inputs):
        """Start a workflow, the content of a .ga file, with inputs by their labels; returns the invocation's id."""
        stored = self.post("/api/workflows", {"workflow": workflow})["id"]
        request = {
            "history_id": self.history,
            "inputs": inputs,
            "inputs_by": "name",
            "require_exact_tool_versions": False,
            # A parameter that a tool has got since the workflow was saved takes its default, as planemo has it too.
            "allow_tool_state_corrections": True,
        }
        return self.post(f"/api/workflows/{stored}/invocations", request)["id"]

    def jobs(self, tool=None):
        """The history's jobs, oldest first, all that Galaxy tells of them."""
        listed = self.get("/api/jobs", history_id=self.history, limit=1000)
        found = [job["id"] for job in reversed(listed) if tool in (None, job["tool_id"])]
        return [self.get(f"/api/jobs/{job}", full="true") for job in found]

    def wait(self, is_done, seconds, what):
        """Ask `is_done` again and again until it says something true, and return that."""
        deadline = time.monotonic() + seconds
        while not (answer := is_done()):
            if time.monotonic() > deadline:
                raise NotInTimeError(f"{what}: not done after {seconds} s")
            time.sleep(POLL_SECONDS)
        return answer

    def wait_for_job(self, job, seconds):
        """Wait until a job has ended, however; returns all that Galaxy tells of it."""
        path = f"/api/jobs/{job}"
        self.wait(lambda: self.get(path)["state"] in ENDED, seconds, f"job {job}")
        return self.get(path, full="true")

    def wait_for_output(self, invocation, label, seconds, but_not=None):
        """Wait until a workflow's output has ended, however, `but_not` in this state; returns {src, id}."""

        def ended():
            output = self.outputs(invocation).get(label)
            return output and self.get(f"/api/datasets/{output['id']}")["state"] in ENDED - {but_not} and output

        return self.wait(ended, seconds, f"the output {label!r}")

    def outputs(self, invocation):
        """The outputs of a workflow that are there already, label -> {src, id}, datasets and collections."""
        found = self.get(f"/api/invocations/{invocation}")
        return found["outputs"] | found["output_collections"]

    def content(self, dataset):
        """The bytes of a dataset."""
        answer = self.session.get(f"{self.url}/api/datasets/{dataset}/display", params={"raw": "true"}, timeout=120)
        answer.raise_for_status()
        return answer.content
