"""A small S3 server on loopback, its objects in memory: enough of the protocol for obstore, without authentication."""

from __future__ import annotations

import contextlib
import hashlib
import re
import threading
import time
from collections.abc import Iterator
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape, unescape

BUCKET = "bucket"


class LoopbackS3(ThreadingHTTPServer):
    """Objects by key: content and time of writing; `refuse` makes every request that changes something fail."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.objects: dict[str, tuple[bytes, float]] = {}
        self.lock = threading.Lock()
        self.refuse = False

    @property
    def environment(self) -> dict[str, str]:
        """Settings that make obstore ask here for s3:// URLs."""
        return {
            "AWS_ENDPOINT": f"http://127.0.0.1:{self.server_address[1]}",
            "AWS_ALLOW_HTTP": "true",
            "AWS_REGION": "us-east-1",
            "AWS_ACCESS_KEY_ID": "nobody",
            "AWS_SECRET_ACCESS_KEY": "nothing",
        }


@contextlib.contextmanager
def loopback_s3() -> Iterator[LoopbackS3]:
    server = LoopbackS3()
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    server: LoopbackS3
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # one packet an answer: a second one waits 40 ms for the first to be acknowledged
    disable_nagle_algorithm = True

    def log_message(self, *_: object) -> None:
        pass

    def _key(self) -> tuple[str, dict[str, list[str]]]:
        parts = urlsplit(self.path)
        return unquote(parts.path).removeprefix(f"/{BUCKET}").lstrip("/"), parse_qs(parts.query)

    def _answer(self, code: int, body: bytes = b"", **headers: str) -> None:
        self.send_response(code)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        if "Content_Length" not in headers:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_PUT(self) -> None:
        key, _ = self._key()
        content = self.rfile.read(int(self.headers["Content-Length"]))
        if self.server.refuse:
            return self._answer(403, b"<Error><Code>QuotaExceeded</Code></Error>")
        with self.server.lock:
            if self.headers.get("If-None-Match") == "*" and key in self.server.objects:
                return self._answer(412, b"<Error><Code>PreconditionFailed</Code></Error>")
            self.server.objects[key] = content, time.time()
        self._answer(200, ETag=_tag(content))

    def do_POST(self) -> None:
        """Delete several objects, the one thing that is asked for so."""
        asked = self.rfile.read(int(self.headers["Content-Length"])).decode()
        if self.server.refuse or "delete" not in self.path:
            return self._answer(403, b"<Error><Code>AccessDenied</Code></Error>")
        keys = [unescape(key) for key in re.findall("<Key>(.*?)</Key>", asked)]
        with self.server.lock:
            for key in keys:
                self.server.objects.pop(key, None)
        gone = "".join(f"<Deleted><Key>{escape(key)}</Key></Deleted>" for key in keys)
        self._answer(200, f"<DeleteResult>{gone}</DeleteResult>".encode(), Content_Type="application/xml")

    def do_HEAD(self) -> None:
        self._give(with_body=False)

    def do_GET(self) -> None:
        key, query = self._key()
        if not key and "list-type" in query:
            return self._list(query.get("prefix", [""])[0], query.get("delimiter", [""])[0])
        self._give(with_body=True)

    def _give(self, with_body: bool) -> None:
        with self.server.lock:
            found = self.server.objects.get(self._key()[0])
        if found is None:
            return self._answer(404, b"<Error><Code>NoSuchKey</Code></Error>" if with_body else b"")
        content, written = found
        headers = {"ETag": _tag(content), "Last_Modified": formatdate(written, usegmt=True)}
        part, code = content, 200
        if wanted := self.headers.get("Range"):
            first, _, last = wanted.removeprefix("bytes=").partition("-")
            begin = int(first) if first else len(content) - int(last)
            end = min(int(last) + 1 if first and last else len(content), len(content))
            part, code = content[begin:end], 206
            headers["Content_Range"] = f"bytes {begin}-{end - 1}/{len(content)}"
        self._answer(code, part if with_body else b"", Content_Length=str(len(part)), **headers)

    def _list(self, prefix: str, delimiter: str) -> None:
        with self.server.lock:
            known = sorted((key, *each) for key, each in self.server.objects.items() if key.startswith(prefix))
        folders, entries = set(), []
        for key, content, written in known:
            below, cut, _ = key[len(prefix) :].partition(delimiter) if delimiter else (key, "", "")
            if cut:
                folders.add(f"{prefix}{below}{delimiter}")
                continue
            when = time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime(written))
            entries.append(
                f"<Contents><Key>{escape(key)}</Key><LastModified>{when}</LastModified>"
                f"<ETag>{_tag(content)}</ETag><Size>{len(content)}</Size></Contents>"
            )
        entries += [f"<CommonPrefixes><Prefix>{escape(each)}</Prefix></CommonPrefixes>" for each in sorted(folders)]
        body = f"<ListBucketResult><IsTruncated>false</IsTruncated>{''.join(entries)}</ListBucketResult>".encode()
        self._answer(200, body, Content_Type="application/xml")


def _tag(content: bytes) -> str:
    return f'"{hashlib.md5(content).hexdigest()}"'
