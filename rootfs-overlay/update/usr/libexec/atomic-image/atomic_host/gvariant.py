"""GVariant, as far as OSTree's files need it: a reader of serialized values whose type is known (GLib's documentation, "GVariant Serialization").

Read are the types b y n q i u x t d s o g v, arrays, tuples and dictionary entries. Values in a container are aligned; sizes that are not fixed are
told by framing offsets, little-endian numbers at the container's end, as wide as the container's length needs. OSTree's own times and sizes are
big-endian inside the number; the caller swaps them with `swapped`.

Everything read comes from a server: nesting is bounded, offsets must ascend and stay inside, and what does not fit is an error. GLib would put default
values in its place.
"""

from __future__ import annotations

import struct
from typing import Any

# Containers in containers. OSTree's deepest type has five.
DEEPEST = 32
# Letters of a type that a variant names.
LONGEST_TYPE = 100
FIXED = {"b": (1, "<B"), "y": (1, "<B"), "n": (2, "<h"), "q": (2, "<H"), "i": (4, "<i"), "u": (4, "<I"), "x": (8, "<q"), "t": (8, "<Q"), "d": (8, "<d")}
TEXTS = "sog"


class BadVariant(ValueError):
    """Bytes that are not a value of the expected type."""


def parse(data: bytes, kind: str) -> Any:
    """Returns the value: numbers, `str`, `bytes` for `ay`, a list for other arrays, a `dict` for `a{…}`, a tuple, and the inner value for a variant."""
    return _value(data, kind, 0)


def swapped(number: int) -> int:
    """Returns a 64-bit number that was stored big-endian."""
    return int.from_bytes(number.to_bytes(8, "little"), "big")


def _first(kind: str) -> tuple[str, str]:
    """Splits the first complete type from a text of types."""
    if not kind:
        raise BadVariant("a type ends too early")
    head = kind[0]
    if head in FIXED or head in TEXTS or head == "v":
        return head, kind[1:]
    if head == "a":
        inner, rest = _first(kind[1:])
        return f"a{inner}", rest
    if head in "({":
        depth = 0
        for position, letter in enumerate(kind):
            depth += {"(": 1, "{": 1, ")": -1, "}": -1}.get(letter, 0)
            if depth > DEEPEST:
                break
            if depth == 0:
                return kind[: position + 1], kind[position + 1 :]
    raise BadVariant(f"unknown type {kind[:40]!r}")


def _members(kind: str) -> list[str]:
    inner, out = kind[1:-1], []
    while inner:
        member, inner = _first(inner)
        out.append(member)
    return out


def _alignment(kind: str) -> int:
    head = kind[0]
    if head in FIXED:
        return FIXED[head][0]
    if head == "v":
        return 8
    if head == "a":
        return _alignment(kind[1:])
    if head in "({":
        return max((_alignment(member) for member in _members(kind)), default=1)
    return 1


def _fixed_size(kind: str) -> int:
    """Returns the size of values of a type, or 0 if it varies."""
    head = kind[0]
    if head in FIXED:
        return FIXED[head][0]
    if head in "({":
        end = 0
        members = _members(kind)
        for member in members:
            size = _fixed_size(member)
            if size == 0:
                return 0
            end = _aligned(end, _alignment(member)) + size
        return _aligned(end, _alignment(kind)) if members else 1
    return 0


def _aligned(offset: int, alignment: int) -> int:
    return (offset + alignment - 1) // alignment * alignment


def _offset_size(length: int) -> int:
    return 1 if length <= 0xFF else 2 if length <= 0xFFFF else 4 if length <= 0xFFFFFFFF else 8


def _value(data: bytes, kind: str, depth: int) -> Any:
    if depth > DEEPEST:
        raise BadVariant("values are nested too deeply")
    head = kind[0]
    if head in FIXED:
        size, form = FIXED[head]
        if len(data) != size:
            raise BadVariant(f"type {head}: expected {size} bytes, found {len(data)}")
        number = struct.unpack(form, data)[0]
        return bool(number) if head == "b" else number
    if head in TEXTS:
        if not data.endswith(b"\0") or b"\0" in data[:-1]:
            raise BadVariant("a text does not end with its only zero byte")
        return data[:-1].decode("utf-8")
    if head == "v":
        at = data.rfind(b"\0")
        if at < 0:
            raise BadVariant("a variant does not name its type")
        inner = data[at + 1 :].decode("ascii")
        if len(inner) > LONGEST_TYPE:
            raise BadVariant(f"a variant's type of {len(inner)} letters")
        one, rest = _first(inner)
        if rest:
            raise BadVariant(f"a variant of more than one type: {inner[:40]!r}")
        return _value(data[:at], one, depth + 1)
    if head == "a":
        return _array(data, kind[1:], depth)
    return _tuple(data, kind, depth)


def _array(data: bytes, item: str, depth: int) -> Any:
    if item == "y":
        return bytes(data)
    size = _fixed_size(item)
    if size:
        if len(data) % size:
            raise BadVariant(f"an array of {item}: {len(data)} bytes are no multiple of {size}")
        parts = [data[at : at + size] for at in range(0, len(data), size)]
    else:
        parts = _parts(data, _alignment(item))
    values = [_value(part, item, depth + 1) for part in parts]
    return dict(values) if item[0] == "{" else values


def _parts(data: bytes, alignment: int) -> list[bytes]:
    """Splits an array by its framing offsets, each the end of an item."""
    if not data:
        return []
    width = _offset_size(len(data))
    end_of_items = int.from_bytes(data[-width:], "little")
    if end_of_items > len(data) - width or (len(data) - end_of_items) % width:
        raise BadVariant("the framing offsets of an array do not fit")
    out, start = [], 0
    for at in range(end_of_items, len(data), width):
        end = int.from_bytes(data[at : at + width], "little")
        start = _aligned(start, alignment)
        if end < start or end > end_of_items:
            raise BadVariant("the framing offsets of an array do not ascend")
        out.append(data[start:end])
        start = end
    return out


def _tuple(data: bytes, kind: str, depth: int) -> tuple[Any, ...]:
    members, out = _members(kind), []
    width = _offset_size(len(data))
    position, offsets = 0, len(data)
    for index, member in enumerate(members):
        position = _aligned(position, _alignment(member))
        size = _fixed_size(member)
        if size:
            end = position + size
        elif index == len(members) - 1:
            end = offsets
        else:
            offsets -= width
            if offsets < 0:
                raise BadVariant("a tuple is too short for its framing offsets")
            end = int.from_bytes(data[offsets : offsets + width], "little")
        if end < position or end > offsets:
            raise BadVariant(f"a member of {kind[:40]} does not fit")
        out.append(_value(data[position:end], member, depth + 1))
        position = end
    return tuple(out)
