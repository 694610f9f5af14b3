"""A worker over plain HTTP, a process of its own that a test may kill: `fault_worker.py URL KEY QUEUE COUNT`.

Takes COUNT tasks and beats for them. Prints one line of JSON with what it holds, and, after a line on its standard
input, finishes all of them and prints the answers.
"""

import json
import sys
import threading
import urllib.error
import urllib.request

BEAT_SECONDS = 0.3


class Worker:
    def __init__(self, url, key):
        self.url, self.key = url, key
        self.held = []
        self.finishing = threading.Event()

    def call(self, path, body):
        headers = {"Authorization": f"Bearer {self.key}", "Content-Type": "application/json"}
        request = urllib.request.Request(self.url + path, json.dumps(body).encode(), headers)
        try:
            with urllib.request.urlopen(request, timeout=30) as reply:
                return reply.status, json.load(reply)
        except urllib.error.HTTPError as refusal:
            return refusal.code, json.load(refusal)

    def write(self, verb, held, **fields):
        return self.call(f"/api/v1/tasks/{held['id']}/{verb}", {"fence": held["fence"], **fields})

    def take(self, queue, count):
        _, reply = self.call("/api/v1/tasks/claim", {"queues": [queue], "limit": count, "waitSeconds": 10})
        self.held = [{"id": item["task"]["id"], "fence": item["fence"]} for item in reply["items"]]
        for held in self.held:
            self.write("heartbeat", held)

    def beat_until_told(self):
        while not self.finishing.wait(BEAT_SECONDS):
            for held in self.held:
                self.write("heartbeat", held)

    def finish(self):
        answers = []
        for held in self.held:
            for verb, fields in [
                ("heartbeat", {}),
                ("deliverables", {"name": "late.txt", "content": "late"}),
                ("complete", {"output": "late"}),
            ]:
                status, reply = self.write(verb, held, **fields)
                answers.append([verb, status, reply.get("code")])
        return answers


def main():
    url, key, queue, count = sys.argv[1:]
    worker = Worker(url, key)
    worker.take(queue, int(count))
    print(json.dumps(worker.held), flush=True)
    beats = threading.Thread(target=worker.beat_until_told, daemon=True)
    beats.start()
    sys.stdin.readline()
    worker.finishing.set()
    beats.join()
    print(json.dumps(worker.finish()), flush=True)


if __name__ == "__main__":
    main()
