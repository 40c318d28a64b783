"""The notation of the behaviour table: requests out of it, and answers compared with it.

Invariants: a value is read by the kind of the field it stands for; a notation that is unknown or misplaced
raises TableError, it never just fails to match. tests/behaviour/README.md is the definition.

Not here: calls (calls.py), cases and steps (behaviour.py).
"""

import datetime
import json
import re

from google.protobuf import message_factory

DURATION = "google.protobuf.Duration"
TIMESTAMP = "google.protobuf.Timestamp"
ENCODINGS = {"framed": "bt_framed", "raw": "bt_raw"}
NANOS = 1_000_000_000


class TableError(Exception):
    """The table itself is wrong."""


class Scope:
    """What placeholders stand for in one run of one case, and what its steps captured."""

    def __init__(self, run, case, encoding, store):
        self.run, self.case, self.cache, self.store = run, case, ENCODINGS[encoding], store
        self.captures = {}

    def text(self, text):
        """A string of the table; placeholders replaced."""
        if not text.startswith("$"):
            return text
        name, _, suffix = text[1:].partition(":")
        if name == "cache":
            return f"{self.cache}_{suffix}" if suffix else self.cache
        if name == "store":
            return f"STORE_{self.store.upper()}"
        if name == "key" or name == "tenant":
            return f"{self.run}/{self.cache}/{self.case}/{suffix}"
        raise TableError(f"unknown placeholder {text!r}")

    def captured(self, name):
        if name not in self.captures:
            raise Mismatch(f"nothing was captured as {name!r}")
        return self.captures[name]


class Mismatch(Exception):
    """A reference to what an earlier step should have captured and did not."""


def operator(value):
    """(name, argument) of an object like {"$text": "abc"}; (None, None) of anything else."""
    if isinstance(value, dict) and len(value) == 1:
        ((name, argument),) = value.items()
        if name.startswith("$"):
            return name, argument
    return None, None


def expand_times(value):
    """The array that {"$times": [n, element]} stands for; other values as they are."""
    name, argument = operator(value)
    if name != "$times":
        return value
    count, element = argument
    text = json.dumps(element)
    return [json.loads(text.replace("$i", str(index))) for index in range(count)]


# -- requests


def build(message_class, written, scope):
    """The request that the table writes as `written`."""
    message = message_class()
    fill(message, written, scope)
    return message


def fill(message, written, scope):
    message.SetInParent()
    for name, value in written.items():
        field = field_of(message.DESCRIPTOR, name)
        if is_map(field):
            target, member = getattr(message, name), field.message_type.fields_by_name["value"]
            for key, element in value.items():
                target[scope.text(key)] = scalar(member, element, scope)
        elif field.is_repeated:
            target = getattr(message, name)
            for element in expand_times(value):
                if field.message_type:
                    fill_message(target.add(), element, scope)
                else:
                    target.append(scalar(field, element, scope))
        elif field.message_type:
            fill_message(getattr(message, name), value, scope)
        else:
            setattr(message, name, scalar(field, value, scope))


def fill_message(message, value, scope):
    kind = message.DESCRIPTOR.full_name
    if kind in (DURATION, TIMESTAMP):
        seconds, nanos = duration(value) if kind == DURATION else timestamp(value)
        message.SetInParent()
        message.seconds, message.nanos = seconds, nanos
    else:
        fill(message, value, scope)


def is_map(field):
    """Whether the field maps text to something that is not a message."""
    return bool(field.message_type and field.message_type.GetOptions().map_entry)


def field_of(descriptor, name):
    if name not in descriptor.fields_by_name:
        raise TableError(f"{descriptor.full_name} has no field {name!r}")
    return descriptor.fields_by_name[name]


def scalar(field, value, scope):
    """The value of a field that is not a message, in a request or in an answer."""
    if field.type == field.TYPE_BYTES:
        return octets(value, scope)
    if field.type == field.TYPE_STRING:
        name, argument = operator(value)
        if name == "$repeat":
            return argument[0] * argument[1]
        if name == "$ref":
            return scope.captured(argument)
        if isinstance(value, str):
            return scope.text(value)
    elif field.type == field.TYPE_ENUM:
        value = scope.text(value)
        if value not in field.enum_type.values_by_name:
            raise TableError(f"{field.enum_type.full_name} has no value {value!r}")
        return field.enum_type.values_by_name[value].number
    elif isinstance(value, (bool, int)):
        return value
    raise TableError(f"{value!r} cannot be written for {field.full_name}")


def octets(value, scope):
    """The bytes that the table writes as `value`."""
    name, argument = operator(value)
    if isinstance(value, str) and value.partition(":")[0] == "$key":
        return scope.text(value).encode()
    if name == "$text":
        return argument.encode()
    if name == "$hex":
        return bytes.fromhex(argument)
    if name == "$repeat":
        return argument[0].encode() * argument[1]
    if name == "$concat":
        return b"".join(octets(part, scope) for part in argument)
    if name == "$ref":
        return scope.captured(argument)
    raise TableError(f"{value!r} does not write bytes")


def duration(value):
    """(seconds, nanos) of "1.5s" or of {"$duration": [seconds, nanos]}, which may be illegal."""
    name, argument = operator(value)
    if name == "$duration":
        return tuple(argument)
    found = re.fullmatch(r"(-?)(\d+)(?:\.(\d{1,9}))?s", value) if isinstance(value, str) else None
    if not found:
        raise TableError(f"{value!r} does not write a Duration")
    sign = -1 if found[1] else 1
    return sign * int(found[2]), sign * int((found[3] or "").ljust(9, "0"))


def timestamp(value):
    """(seconds, nanos) of an RFC 3339 text, of {"$in": "30s"}, or of {"$timestamp": [seconds, nanos]}."""
    name, argument = operator(value)
    if name == "$timestamp":
        return tuple(argument)
    if name == "$in":
        now = datetime.datetime.now(datetime.timezone.utc)
        epoch = datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)
        nanos = (now - epoch) // datetime.timedelta(microseconds=1) * 1000 + total(*duration(argument))
        return divmod(nanos, NANOS)
    if name or not isinstance(value, str):
        raise TableError(f"{value!r} does not write a Timestamp")
    moment = datetime.datetime.strptime(value, "%Y-%m-%dT%H:%M:%S%z")
    return int(moment.timestamp()), 0


def total(seconds, nanos):
    return seconds * NANOS + nanos


# -- answers


def compare(message, written, scope, path=""):
    """What in `message` is not as written: one text for each difference."""
    name, argument = operator(written)
    if name == "$any_of":
        attempts = [compare(message, alternative, scope, path) for alternative in argument]
        return [] if [] in attempts else [f"{path or 'answer'}: none of {len(attempts)} alternatives; the first: {attempts[0]}"]
    if message.DESCRIPTOR.full_name == DURATION:
        return compare_duration(message, written, path)
    if message.DESCRIPTOR.full_name == TIMESTAMP:
        wanted, got = timestamp(written), (message.seconds, message.nanos)
        return [] if wanted == got else [f"{path}: is {got}, expected {wanted}"]
    if not isinstance(written, dict) or name:
        raise TableError(f"{written!r} does not describe a {message.DESCRIPTOR.full_name}")
    differences = []
    for member, value in written.items():
        field = field_of(message.DESCRIPTOR, member)
        differences += compare_field(message, field, value, scope, f"{path}.{member}" if path else member)
    return differences


def compare_all(messages, written, scope):
    """The same for all answers of a stream: each is as one element says, each element is met once, in any order."""
    left, elements = list(messages), expand_times(written)
    if len(left) != len(elements):
        return [f"has {len(left)} answers, expected {len(elements)}"]
    for element in elements:
        place = next((place for place, one in enumerate(left) if not compare(one, element, scope)), None)
        if place is None:
            return [f"no answer is left that is like {json.dumps(element)}: {left}"]
        del left[place]
    return []


def compare_field(message, field, written, scope, path):
    name, argument = operator(written)
    value = getattr(message, field.name)
    if field.is_repeated:
        present = len(value) > 0
    else:
        present = message.HasField(field.name) if field.has_presence else value != field.default_value
    if name == "$absent":
        return [f"{path}: is {show(value)}, expected nothing"] if present else []
    if name in ("$any", "$capture"):
        if not present or value == b"" or value == "":
            return [f"{path}: is not set, or is empty"]
        if name == "$capture":
            scope.captures[argument] = value
        return []
    if is_map(field):
        return compare_map(field, value, written, scope, path)
    if field.is_repeated:
        return compare_repeated(field, value, written, scope, path)
    if field.has_presence and not present:
        return [f"{path}: is not set; the answer has {set_fields(message)}"]
    return compare_value(field, value, written, scope, path)


def compare_value(field, value, written, scope, path):
    if field.message_type:
        return compare(value, written, scope, path)
    name, argument = operator(written)
    if name == "$any_of":
        return [] if any(value == scalar(field, each, scope) for each in argument) else [f"{path}: is {show(value)}"]
    if name == "$not_ref":
        return [f"{path}: is still {show(value)}"] if value == scope.captured(argument) else []
    wanted = scalar(field, written, scope)
    return [] if value == wanted else [f"{path}: is {show(value, field)}, expected {show(wanted, field)}"]


def compare_map(field, values, written, scope, path):
    """Exactly the names that are written, each with its value."""
    if sorted(values) != sorted(written):
        return [f"{path}: has {sorted(values)}, expected {sorted(written)}"]
    member = field.message_type.fields_by_name["value"]
    differences = []
    for key, expected in written.items():
        if operator(expected)[0] == "$any":
            differences += [] if values[key] else [f"{path}.{key}: is empty"]
        else:
            differences += compare_value(member, values[key], expected, scope, f"{path}.{key}")
    return differences


def compare_repeated(field, values, written, scope, path):
    name, argument = operator(written)
    if name == "$contains":
        return [
            f"{path}: has no element like {json.dumps(element)}"
            for element in argument
            if all(compare_value(field, value, element, scope, path) for value in values)
        ]
    elements = expand_times(written)
    if not isinstance(elements, list):
        raise TableError(f"{written!r} does not describe a repeated field")
    if len(elements) != len(values):
        return [f"{path}: has {len(values)} elements, expected {len(elements)}"]
    return [
        difference
        for index, (value, element) in enumerate(zip(values, elements))
        for difference in compare_value(field, value, element, scope, f"{path}[{index}]")
    ]


def compare_duration(message, written, path):
    got = total(message.seconds, message.nanos)
    name, argument = operator(written)
    low, high = argument if name == "$between" else (written, written)
    if total(*duration(low)) <= got <= total(*duration(high)):
        return []
    return [f"{path}: is {got / NANOS}s, expected {low if low == high else f'{low} to {high}'}"]


def set_fields(message):
    return [field.name for field, _ in message.ListFields()] or "nothing set"


def show(value, field=None):
    """A value for a person; large ones shortened."""
    if field is not None and field.type == field.TYPE_ENUM:
        known = field.enum_type.values_by_number.get(value)
        return known.name if known else repr(value)
    text = repr(value).replace("\n", " ")
    return text if len(text) <= 80 else f"{text[:60]}... ({len(text)} characters)"


def class_of(descriptor):
    return message_factory.GetMessageClass(descriptor)
