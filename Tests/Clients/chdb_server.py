"""The newest ClickHouse, as the chdb wheel has it, behind the part of ClickHouse's HTTP interface that Reeve uses.

    chdb_server.py FOLDER   prints its port, and serves until it is ended
"""

import re
import sys
import tempfile
import threading
from contextlib import ExitStack
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

from chdb import session


class ClickHouse:
    def __init__(self, folder):
        self.session, self.turn = session.Session(folder), threading.Lock()

    def answer(self, parameters, kind, body):
        with self.turn, ExitStack() as files:
            self.session.query(f"USE {parameters.get('database', 'default')}")
            if "multipart/form-data" in kind:
                return self.ask(parameters, dict(form(kind, body)), files)
            return self.insert(parameters["query"], body, files)

    def file(self, rows, files):
        path = Path(files.enter_context(tempfile.TemporaryDirectory())) / "rows"
        path.write_bytes(rows)
        return path

    def ask(self, parameters, fields, files):
        """A query, with its external tables as temporary ones."""
        query = fields.pop("query").decode()
        for name, rows in fields.items():
            structure = parameters[f"{name}_structure"]
            assert parameters[f"{name}_format"] == "RowBinary"
            self.session.query(f"CREATE OR REPLACE TEMPORARY TABLE {name} ({structure})")
            if rows:
                source = f"file('{self.file(rows, files)}', RowBinary, '{structure}')"
                self.session.query(f"INSERT INTO {name} SELECT * FROM {source}")
        text = query.removesuffix(" FORMAT RowBinary").removesuffix("\nFORMAT RowBinary")
        return bytes(self.session.query(text, "RowBinary" if text != query else "TSV").bytes() or b"")

    def insert(self, statement, rows, files):
        table, columns = re.fullmatch(r"INSERT INTO (\w+) \(([^)]*)\)\s+FORMAT RowBinary", statement).groups()
        described = bytes(self.session.query(f"DESCRIBE TABLE {table}", "TSV").bytes()).decode()
        types = dict(line.split("\t")[:2] for line in described.splitlines())
        structure = ", ".join(f"{name} {types[name]}" for name in re.split(r",\s+", columns))
        source = f"file('{self.file(rows, files)}', RowBinary, '{structure}')"
        self.session.query(f"INSERT INTO {table} ({columns}) SELECT * FROM {source}")
        return b""


def form(kind, body):
    """The fields of multipart/form-data by their names."""
    boundary = kind.split("boundary=")[1].encode()
    for part in body.split(b"--" + boundary)[1:-1]:
        head, content = part.removeprefix(b"\r\n").split(b"\r\n\r\n", 1)
        yield re.search(rb' name="(\w+)"', head)[1].decode(), content.removesuffix(b"\r\n")


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        parameters = dict(parse_qsl(urlsplit(self.path).query, keep_blank_values=True))
        body = self.rfile.read(int(self.headers["content-length"]))
        try:
            status, reply = 200, self.server.clickhouse.answer(parameters, self.headers["content-type"], body)
        except Exception as error:
            status, reply = 500, str(error).encode()
            print(f"refused: {error}", file=sys.stderr, flush=True)
        self.send_response(status)
        self.send_header("content-length", str(len(reply)))
        self.end_headers()
        self.wfile.write(reply)

    def log_message(self, *_):
        pass


if __name__ == "__main__":
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.clickhouse = ClickHouse(sys.argv[1])
    print(server.server_port, flush=True)
    server.serve_forever()
