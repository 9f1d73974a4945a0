"""Requests that nobody well-meaning sends: endless, the same in every run. Every one must be answered 4xx."""

from __future__ import annotations

import hashlib
import io
import json
import posixpath
import random
import struct
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from PIL import Image

__all__ = ["HostileRequest", "hostile_requests"]

WRONG = (None, True, -1, 0, 1.5, 10**400, "", "x", "\x00", "\ud800", [], {}, [[]], {"a": 1}, "9" * 400, [None], "NaN")
PATHS = (
    "../../../../etc/passwd",
    "..%2f..%2f..%2fetc%2fpasswd",
    "/etc/passwd",
    "....//....//etc/passwd",
    "%00",
    "scene.tif:0,0,9999999999,1",
    "file:///etc/passwd",
    "http://localhost/x.tif",
    "/vsicurl/http://localhost/x.tif",
    "s3://bucket/x",
    "\\\\server\\share",
    "C:\\windows\\win.ini",
    "scene.tif:0,0,64,64\x00.jpg",
    "a" * 1900,
    "' OR 1=1 --",
    "%ff%fe",
    ".",
    "..",
    "*",
)
LISTS = {
    *("/", "//", "/api/detectors", "/api/saved", "/api/scenes", "/ogc", "/ogc/collections", "/ogc/collections/tiles"),
    *("/ogc/collections/tiles/items", "/stac", "/stac/collections", "/stac/collections/scenes"),
    "/stac/collections/scenes/items",
}
"""What is there for everybody."""
FIELDS = (
    *("text", "not", "like", "pictures", "parts", "detector", "marks", "bbox", "area", "since", "until", "sensor"),
    *("scene", "k", "places", "threshold", "ranking", "explain"),
)


@dataclass(frozen=True)
class HostileRequest:
    """A request: what kind of mischief it is, and how it is sent."""

    kind: str
    method: str
    path: str
    content: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)


def hostile_requests(seed: int = 0) -> Iterator[HostileRequest]:
    """All kinds in turn, each a little different every time."""
    chance = random.Random(seed)
    makers = (
        *(_wrong_type, _wrong_type, _bad_json, _bad_geometry, _bad_geometry, _traversal, _traversal, _bad_params),
        *(_bad_picture, _bad_picture, _bomb, _too_long, _bad_method, _bad_form, _bad_marks, _bad_detector),
        *(_bad_page, _bad_page, _bad_items, _bad_items, _bad_web_tile, _bad_web_tile, _bad_heat, _bad_heat),
        *(_bad_kept, _bad_kept, _bad_comparison, _bad_review, _bad_brush, _bad_probe),
    )
    while True:
        for make in makers:
            yield make(chance)


def _post(kind: str, body: Any, path: str = "/api/search") -> HostileRequest:
    content = json.dumps(body).encode()
    return HostileRequest(kind, "POST", path, content, {"Content-Type": "application/json"})


def _is_harmless(name: str, value: Any) -> bool:
    """Values that are right in some field."""
    right: dict[str, Callable[[Any], bool]] = {
        "places": lambda v: isinstance(v, bool),
        "explain": lambda v: isinstance(v, bool),
        "threshold": lambda v: v == 0 and not isinstance(v, bool),
        "text": lambda v: v in ("x", "\x00", "NaN", "9" * 400),
        "sensor": lambda v: v in ("x", "\x00", "NaN"),
        "scene": lambda v: v in ("x", "\x00", "NaN"),
        **dict.fromkeys(("not", "like", "pictures", "parts", "marks"), lambda v: v == []),
        "ranking": lambda v: v == {},
    }
    optional = {"detector", "bbox", "area", "since", "until", "sensor", "scene"}
    if value is None:
        return name in optional
    return name in right and right[name](value)


def _wrong_type(chance: random.Random) -> HostileRequest:
    while True:
        name, value = chance.choice(FIELDS), chance.choice(WRONG)
        if not _is_harmless(name, value):
            return _post("wrong type", {"text": "a river", "k": 1, name: value})


def _bad_json(chance: random.Random) -> HostileRequest:
    content = chance.choice(
        [
            b"",
            b"{",
            b"null",
            b"[]",
            b'"text"',
            b"\xff\xfe",
            b'{"text": "a", "text"',
            b"[" * chance.randint(1000, 100_000),
            b'{"area":' * chance.randint(1000, 20_000),
            b'{"text": NaN}',
            b'{"text": "red", "threshold": Infinity}',
            b'{"text": "red", "k": 1e999}',
            b'{"text": "red", "k": ' + b"9" * chance.randint(5000, 50_000) + b"}",
            bytes(chance.randrange(256) for _ in range(200)),
        ]
    )
    kind = chance.choice(["application/json", "text/plain", "application/xml", "application/json; charset=utf-7"])
    return HostileRequest("bad JSON", "POST", "/api/search", content, {"Content-Type": kind})


def _bad_geometry(chance: random.Random) -> HostileRequest:
    far = chance.choice([541, 1e9, -1e300])
    ring = [[0, 0], [1, 0], [1, 1], [0, 0]]
    nested: Any = {"type": "Polygon", "coordinates": 7}
    for _ in range(chance.randint(1, 200)):
        nested = {"type": "GeometryCollection", "geometries": [nested]}
    area = chance.choice(
        [
            {"type": "Polygon"},
            {"type": "Polygon", "coordinates": 5},
            {"type": "Polygon", "coordinates": [5]},
            {"type": "Polygon", "coordinates": [[5]]},
            {"type": "Polygon", "coordinates": [[[0, 0], [1, 0], [1, 1]]]},
            {"type": "Polygon", "coordinates": [[[0, 0], [far, 0], [1, 1], [0, 0]]]},
            {"type": "Polygon", "coordinates": {"a": ring}},
            {"type": "Polygon", "coordinates": [[["a", "b"]] * 4]},
            {"type": "MultiPolygon", "coordinates": [[[[None, None]] * 4]]},
            {"type": "MultiPolygon", "coordinates": "x"},
            {"type": "Point", "coordinates": [0, 0]},
            {"type": "LineString", "coordinates": ring},
            {"type": "FeatureCollection", "features": 3},
            {"type": "FeatureCollection", "features": [None, 4, "x"]},
            {"type": "Feature", "geometry": None},
            {"type": ["Polygon"], "coordinates": [ring]},
            {"type": {}, "coordinates": [ring]},
            {"type": "Polygon", "coordinates": [[[i / 1e4, 0] for i in range(10_002)] + [[0, 0]]]},
            nested,
            {},
        ]
    )
    if chance.random() < 0.3:
        box = chance.choice([[0, 1, 1, 0], [0, 0, 1], [0] * 5, [-181, 0, 0, 1], [0, 0, 0, 91], ["0"] * 4, [None] * 4])
        return _post("bad geometry", {"text": "a river", "k": 1, "bbox": box})
    return _post("bad geometry", {"text": "a river", "k": 1, "area": area})


def _traversal(chance: random.Random) -> HostileRequest:
    name = chance.choice(PATHS) + chance.choice(["", "/..", "%2e%2e", "?", "#", ";"])
    where = chance.choice(
        [
            "/api/tiles/{}/picture.jpg",
            "/api/tiles/{}/explanation.png?q=a",
            "/api/scenes/{}/overview.jpg",
            "/api/scenes/{}/overview.png",
            "/static/{}",
            "/api/detectors/{}",
            "/ogc/collections/tiles/items/{}",
            "/ogc/collections/{}",
            "/stac/collections/scenes/items/{}",
            "/stac/collections/{}/items",
        ]
    )
    shown = name if chance.random() < 0.5 else quote(name, safe="")
    # What no HTTP client can send is sent with escapes; "?" and "#" would end the path.
    path = quote(where.format(shown.replace("?", "%3F").replace("#", "%23")), safe="/%?=:,;.*'()+&-_~!$@")
    return HostileRequest("traversal", "DELETE" if "detectors" in where else "GET", _no_page(path))


def _no_page(path: str) -> str:
    """A path that leads to nothing, though a client sends it without its dots."""
    return f"{path}/x" if posixpath.normpath(path.partition("?")[0]) in LISTS else path


def _bad_params(chance: random.Random) -> HostileRequest:
    params = chance.choice(
        [
            "",
            "q=",
            "q=a&k=0",
            "q=a&k=-5",
            "q=a&k=1e3",
            "q=a&k=99999999999999999999",
            "q=a&k=201",
            "q=a&bbox=1,2,3",
            "q=a&bbox=a,b,c,d",
            "q=a&bbox=nan,nan,nan,nan",
            "q=a&bbox=inf,0,1,1",
            "q=a&since=yesterday",
            "q=a&since=2020-13-01",
            "q=a&until=0000-00-00",
            "q=a&format=exe",
            "q=a&threshold=2",
            "q=a&threshold=nan",
            "q=a&places=perhaps",
            "q=a&unknown=1",
            "q=" + "a" * 2000,
            "like=" + quote(chance.choice(PATHS)),
            "detector=" + quote(chance.choice(PATHS)),
            "q=a&scene=" + "*a" * 200,
            "q=a" + "&not=b" * 100,
        ]
    )
    return HostileRequest("bad parameters", "GET", f"/api/search?{params}")


def _bad_picture(chance: random.Random) -> HostileRequest:
    form = chance.choice(["PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF"])
    file = io.BytesIO()
    Image.frombytes("RGB", (16, 16), chance.randbytes(768)).save(file, form)
    whole = bytearray(file.getvalue())
    if form in {"PNG", "JPEG", "WEBP"}:
        cut = chance.randint(1, max(2, len(whole) // 2))
        whole = whole[:cut]
    content = chance.choice(
        [bytes(whole), b"", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"<svg/>", b"%PDF-1.7", b"GIF89a"]
    )
    return HostileRequest("bad picture", "POST", "/api/pictures", content, {"Content-Type": "image/png"})


def _bomb(chance: random.Random) -> HostileRequest:
    side = chance.choice([7000, 20_000, 60_000, 2**31 - 1])
    content = _png_header(side, chance.choice([7000, side])) if chance.random() < 0.8 else _text_bomb()
    return HostileRequest("decompression bomb", "POST", "/api/pictures", content, {"Content-Type": "image/png"})


def _png_header(width: int, height: int) -> bytes:
    """A PNG of few bytes that says to be huge: its rows are zeros, which compress a thousandfold."""
    rows = zlib.compress(b"\x00" * 1_000_000)
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", head) + _chunk(b"IDAT", rows) + _chunk(b"IEND", b"")


def _text_bomb() -> bytes:
    """A small PNG with a compressed text of 100 MB."""
    deflate = zlib.compressobj(9)
    text = b"".join([*(deflate.compress(b"\x00" * 1_000_000) for _ in range(100)), deflate.flush()])
    head = struct.pack(">IIBBBBB", 4, 4, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", head) + _chunk(b"zTXt", b"a\x00\x00" + text) + _chunk(b"IEND", b"")


def _chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def _too_long(chance: random.Random) -> HostileRequest:
    if chance.random() < 0.5:
        content = b'{"text": "' + b"a" * (1_100_000) + b'"}'
        return HostileRequest("oversized", "POST", "/api/search", content, {"Content-Type": "application/json"})
    return _post("oversized", {"text": "a" * chance.randint(1001, 100_000)})


def _bad_method(chance: random.Random) -> HostileRequest:
    method = chance.choice(["PUT", "PATCH", "DELETE", "TRACE", "FOO", "OPTIONS"])
    path = chance.choice(["/", "/api/search", "/api/health", "/api/scenes", "/nothing", "/api/", "/metrics"])
    return HostileRequest("bad method", method, path)


def _bad_form(chance: random.Random) -> HostileRequest:
    content = chance.choice(
        [
            b"",
            b"--x\r\n",
            b'--x\r\nContent-Disposition: form-data; name="file"\r\n\r\nno file\r\n--x--\r\n',
            b"--x\r\nContent-Disposition: form-data\r\n\r\n--x--\r\n",
            b"--x\r\n" + b"A: b\r\n" * 5000 + b"\r\n--x--\r\n",
            b'--x\r\nContent-Disposition: form-data; name="file"; filename="../../x"\r\n\r\nbroken\r\n--x--\r\n',
            _part(b"f") * 50 + b"--x--\r\n",
        ]
    )
    kind = chance.choice(["multipart/form-data; boundary=x", "multipart/form-data", "multipart/form-data; boundary="])
    return HostileRequest("bad form", "POST", "/api/pictures", content, {"Content-Type": kind})


def _part(name: bytes) -> bytes:
    return b'--x\r\nContent-Disposition: form-data; name="' + name + b'"; filename="a"\r\n\r\na\r\n'


def _bad_marks(chance: random.Random) -> HostileRequest:
    marks = chance.choice(
        [
            [{"tile": chance.choice(PATHS), "right": True}],
            [{"tile": "x"}],
            [{"right": True}],
            [{"tile": "x", "right": "yes"}],
            [{"tile": "x", "right": True, "more": 1}],
            [{"tile": "x", "right": False}] * 1001,
            {"tile": "x"},
        ]
    )
    return _post("bad marks", {"text": "a river", "marks": marks})


def _bad_detector(chance: random.Random) -> HostileRequest:
    name = chance.choice([*PATHS, "", " a", "a\n", "ü", "con", "a" * 65, 5, None])
    search = chance.choice(
        [{"text": ""}, {}, {"detector": "a"}, {"text": "a", "marks": [{"tile": "x", "right": True}]}]
    )
    return _post("bad detector", {"name": name, "search": search, "marks": []}, path="/api/detectors")


def _bad_page(chance: random.Random) -> HostileRequest:
    """Of the views for GIS programs."""
    params = chance.choice(
        [
            "bbox=1,2,3",
            "bbox=nan,nan,nan,nan",
            "bbox=0,0,0,1,1",
            "bbox=" + "1," * 140,
            "datetime=../..",
            "datetime=0000-00-00T00:00:00Z",
            "datetime=9999-12-31T23:59:59-23:59",
            "datetime=" + "2020-01-01/" * 5,
            "limit=0",
            "limit=1e3",
            "limit=" + "9" * 300,
            "offset=-1",
            "offset=" + "9" * 30,
            "f=html",
            "unknown=1",
            "bbox=%ff%fe",
            "datetime=%00",
        ]
    )
    where = chance.choice(["ogc/collections/tiles", "ogc/collections/scenes", "ogc/collections/search"])
    path = chance.choice([f"/{where}/items", "/stac/collections/tiles/items", "/stac/search"])
    return HostileRequest("bad page", "GET", f"{path}?{params}{'&q=a' if 'search' in path else ''}")


def _bad_items(chance: random.Random) -> HostileRequest:
    """A STAC search of which something is wrong."""
    name = chance.choice(["q", "bbox", "datetime", "intersects", "ids", "collections", "limit", "offset"])
    value = chance.choice(WRONG)
    fine: dict[str, tuple[Any, ...]] = {
        **{"q": ("x", "\x00", "9" * 400, "NaN", "\ud800"), "ids": ([],), "collections": ([],)},
        **{"limit": (1,), "offset": (0,)},
    }
    while value is None or (not isinstance(value, bool) and value in fine.get(name, ())):
        value = chance.choice([5.5, {"type": "Point", "coordinates": [0, 1e400]}, [[1, 2]]])
    return _post("bad items", {"limit": 1, name: value}, path="/stac/search")


def _bad_web_tile(chance: random.Random) -> HostileRequest:
    """A square of a scene that is not there, or of no scene."""
    real = hashlib.sha256(b"north_20160816.tif").hexdigest()[:16]
    scene = chance.choice(
        [real, real, "0" * 16, "G" * 16, real[:15], real.upper(), quote(chance.choice(PATHS), safe="")]
    )
    side = chance.choice(["-1", "x", "1e3", "NaN", "1.5", "%00", "..%2f..", "9" * 30, str(2**24), "%ff", "0x1", " "])
    place = chance.choice(["25/0/0", "3/8/0", "3/0/8", f"0/{side}/0", f"0/0/{side}", f"{side}/0/0", "24/0/0/0"])
    form = "webp" if scene == real else chance.choice(["webp", "png", "exe"])
    if scene == "0" * 16:
        place = "3/1/2"
    return HostileRequest("bad map tile", "GET", f"/api/scenes/{scene}/tiles/{quote(place, safe='/%')}.{form}")


def _bad_heat(chance: random.Random) -> HostileRequest:
    """Colours for a map: the view, the zoom, or the search is none."""
    body: dict[str, Any] = {"search": {"text": "a river"}, "view": [0, 0, 1, 1], "zoom": 3}
    wrong: dict[str, tuple[Any, ...]] = {
        "view": (
            None,
            "x",
            {},
            [],
            [0, 0, 0],
            [0] * 5,
            [-181, 0, 1, 1],
            [0, 1, 1, 0],
            [0, 0, 1, 91],
            ["0"] * 4,
            [None] * 4,
        ),
        "zoom": (None, "3", -1, 25, 10**400, float("nan"), float("inf"), [3], {}),
        "search": (
            *(None, "x", [], {}, {"text": ""}, {"text": "a", "k": 0}, {"text": "a", "k": 10**6}, {"text": 5}),
            *({"detector": "nobody"}, {"detector": "../x"}, {"pictures": ["x"]}, {"like": [chance.choice(PATHS)]}),
            *({"text": "a", "search": {}}, {"text": "a", "bbox": [0, 1, 1, 0]}, {"text": "a", "area": {"type": "x"}}),
            {"text": "a", "marks": [{"tile": chance.choice(PATHS), "right": True}]},
        ),
        "more": (1,),
    }
    name = chance.choice(list(wrong))
    return _post("bad heat", {**body, name: chance.choice(wrong[name])}, path="/api/heat")


def _bad_kept(chance: random.Random) -> HostileRequest:
    """A detector or a saved search that is not there, or cannot be."""
    kind = chance.choice(["detectors", "saved"])
    name = quote(chance.choice([*PATHS, "nobody", "a" * 65, "\n", "ü", " a"]), safe="")
    what = chance.choice(["", "/finds", "/seen", "/seen?version=x", "/../..", "/finds/more"])
    if chance.random() < 0.3:
        search = chance.choice([{}, {"text": ""}, {"text": "a", "k": 0}, {"pictures": ["x"]}, 5, None])
        body = {"name": chance.choice(["a", "../a", "", None, 5, "a" * 65]), "search": search, "replace": True}
        return _post("bad saved search", body, path="/api/saved")
    if chance.random() < 0.3:
        content = json.dumps(
            chance.choice([{}, {"name": "../a"}, {"name": 5}, {"name": "a", "more": 1}, [], "a"])
        ).encode()
        headers = {"Content-Type": "application/json"}
        return HostileRequest("bad name", "PATCH", f"/api/{kind}/nobody", content, headers)
    method = "POST" if "seen" in what else chance.choice(["GET", "DELETE"]) if not what else "GET"
    return HostileRequest("nothing kept", method, _no_page(f"/api/{kind}/{name}{what}"))


def _bad_comparison(chance: random.Random) -> HostileRequest:
    references = [
        "detectors:nobody",
        "saved:nobody",
        "x:y",
        "detectors:",
        "",
        "saved:" + "a" * 65,
        "detectors:../x",
        "%00",
    ]
    first, second = (quote(chance.choice(references), safe="%") for _ in range(2))
    query = chance.choice(
        [f"first={first}&second={second}", f"first={first}", "", f"first={first}&second=1&third={second}"]
    )
    return HostileRequest("bad comparison", "GET", f"/api/compare?{query}")


def _bad_review(chance: random.Random) -> HostileRequest:
    if chance.random() < 0.3:
        form, query = chance.choice(["exe", "..", "%00", "html"]), chance.choice(["", "query=a", "query=" + "a" * 3000])
        return HostileRequest("bad review", "GET", f"/api/reviews/export.{form}?{query}")
    body = {"query": "“red”", "tile": chance.choice([*PATHS, 5, None, ""]), "verdict": "yes"}
    wrong = [
        {"verdict": "perhaps"},
        {"note": "a" * 2001},
        {"who": "a" * 81},
        {"relevance": 2},
        {"query": None},
        {"more": 1},
        {},
    ]
    return _post("bad review", {**body, **chance.choice(wrong)}, path="/api/reviews")


def _bad_brush(chance: random.Random) -> HostileRequest:
    ways = (
        [],
        [[0]],
        [[0, 91]],
        [[541, 0]],
        [[0, 0, 0]],
        [["0", "0"]],
        [[0, 0]] * 2001,
        "x",
        None,
        {},
        [None],
        [[None, 0]],
    )
    radii = (0, -1, 1e6, "1", None, float("nan"), [])
    way, radius = (chance.choice(ways), 1) if chance.random() < 0.5 else ([[0, 0]], chance.choice(radii))
    return _post("bad brush", {"way": way, "radius_m": radius}, path="/api/tiles")


def _bad_probe(chance: random.Random) -> HostileRequest:
    """What load balancers and pages of others ask for, asked otherwise."""
    path = chance.choice(["/api/live", "/api/ready", "/embed", "/api/heat", "/api/compare", "/ogc", "/stac"])
    way = chance.choice(["method", "further", "up"])
    if way == "method":
        return HostileRequest("bad probe", chance.choice(["PUT", "PATCH", "DELETE", "TRACE"]), path)
    return HostileRequest("bad probe", "GET", f"{path}/{'x%00' if way == 'further' else '..%2f..%2fetc%2fpasswd'}")
