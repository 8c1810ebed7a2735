"""Reads kafka/schema/*.msg.

A schema's first line says what it holds, and with it which sections follow:

    api NAME, key K, versions A-B, flexible since F     `request` and `response`
    header NAME, versions A-B, flexible since F         `fields`
    data NAME, versions A-B, flexible since F           `fields`: bytes that clients embed in a message
    record NAME, type T, versions A-B, flexible since F `key` and `value` of a record that a coordinator keeps in a
                                                        topic; the versions are the value's, a key has one form

A record of which only the key matters has no value. A field is a line `name: type, attribute, ...`; the fields of a
struct follow it, indented. Attributes:

    since V, until V    versions that carry the field; without them, as its parent
    nullable [since V]  may be null, in all versions or from V on
    tag N               an optional field in the tagged section; not written while it has its default value; from
                        10000 on those of Sluice's own brokers, which Kafka does not know
    default X           instead of 0, false, the empty string or the empty array
    ignorable           may be dropped in silence where a version lacks it; other fields must then hold their default
    inflexible          keeps its old length form in flexible versions
"""

import re

ENDLESS = 32767
OWN_TAGS = 10000
# Schema type -> C++ type, method suffix of WireReader and WireWriter, least bytes on the wire.
FIXED = {
    "bool": ("bool", "Bool", 1),
    "int8": ("int8_t", "Int8", 1),
    "int16": ("int16_t", "Int16", 2),
    "uint16": ("uint16_t", "Uint16", 2),
    "int32": ("int32_t", "Int32", 4),
    "int64": ("int64_t", "Int64", 8),
    "float64": ("double", "Float64", 8),
    "uuid": ("Uuid", "Uuid", 16),
}
# Types with a length before them: C++ type, method suffix, bytes of that length where it is not a varint.
SIZED = {
    "string": ("std::string", "String", 2),
    "bytes": ("std::string", "Bytes", 4),
    "records": ("Records", "Records", 4),
}
CPP_KEYWORDS = {"class", "default", "delete", "namespace", "new", "operator", "private", "public", "struct"}
# What the generated functions call their own parameters and variables; a field of that name would be hidden.
TAKEN_NAMES = {"element", "flexible", "reader", "tags", "version", "writer"}


class SchemaError(Exception):
    """A schema that says something wrong, with file and line."""


class Field:
    """One field; `children` are those of its struct type."""

    def __init__(self, name, type_text, where):
        self.name = name
        self.is_array = type_text.startswith("[]")
        self.element = type_text[2:] if self.is_array else type_text
        self.where = where
        self.since, self.until = 0, ENDLESS
        self.nullable_since = None
        self.tag = None
        self.default = None
        self.ignorable = False
        self.inflexible = False
        self.children = []

    @property
    def is_struct(self):
        return self.element not in FIXED and self.element not in SIZED

    @property
    def optional(self):
        """Held in std::optional. Records have a null of their own."""
        return self.nullable_since is not None and (self.is_array or self.element != "records")


# Kind of schema -> its sections, each with what it adds to the schema's name.
SECTIONS = {
    "api": {"request": "Request", "response": "Response"},
    "header": {"fields": ""},
    "data": {"fields": ""},
    "record": {"key": "Key", "value": "Value"},
}


class Message:
    """A request, a response, a header, a record's key or value: the top-level struct of its own C++ name."""

    def __init__(self, section, schema):
        self.name = schema.name + SECTIONS[schema.kind][section]
        self.schema = schema
        self.first, self.last, self.flexible = schema.first, schema.last, schema.flexible
        if section == "key":
            self.first, self.last, self.flexible = 0, 0, ENDLESS
        self.fields = []


class Schema:
    """One file."""

    def __init__(self, path):
        self.path = path
        self.kind = self.name = None
        self.key = None  # of an api; a record's type
        self.first = self.last = 0
        self.flexible = ENDLESS
        self.advertised = None
        self.messages = []

    @property
    def file_stem(self):
        return self.path.stem


def parse_head(schema, text, where):
    match = re.fullmatch(
        r"(api|header|data|record) (\w+)(?:, (key|type) (\d+))?, versions (\d+)-(\d+)"
        r"(?:, flexible since (\d+))?(?:, advertised since (\d+))?", text)
    if not match:
        raise SchemaError(f"{where}: expected 'api NAME, key K, versions A-B, flexible since F', found '{text}'")
    kind, name, number, key, first, last, flexible, advertised = match.groups()
    if number != {"api": "key", "record": "type"}.get(kind):
        raise SchemaError(f"{where}: an api has a key, a record has a type, a header or data has neither")
    schema.kind, schema.name = kind, name
    schema.key = None if key is None else int(key)
    schema.first, schema.last = int(first), int(last)
    schema.flexible = ENDLESS if flexible is None else int(flexible)
    schema.advertised = schema.first if advertised is None else int(advertised)


def parse_attribute(field, text):
    word, _, rest = text.partition(" ")
    if word == "since":
        field.since = int(rest)
    elif word == "until":
        field.until = int(rest)
    elif text == "nullable":
        field.nullable_since = 0
    elif text.startswith("nullable since "):
        field.nullable_since = int(text.split()[-1])
    elif word == "tag":
        field.tag = int(rest)
    elif word == "default":
        field.default = rest
    elif text == "ignorable":
        field.ignorable = True
    elif text == "inflexible":
        field.inflexible = True
    else:
        raise SchemaError(f"{field.where}: unknown attribute '{text}'")


def parse_field(text, where):
    match = re.fullmatch(r"([a-z]\w*): ((?:\[\])?\w+)((?:, [^,]+)*)", text)
    if not match:
        raise SchemaError(f"{where}: expected 'name: type, attribute, ...', found '{text}'")
    field = Field(match.group(1), match.group(2), where)
    for attribute in match.group(3).split(", ")[1:]:
        parse_attribute(field, attribute)
    return field


def parse_schema(path):
    schema = Schema(path)
    # levels[d] is the list that fields of indentation d + 1 join.
    levels = []
    for number, line in enumerate(path.read_text().splitlines(), 1):
        where = f"{path.name}:{number}"
        text = line.strip()
        if not text or text.startswith("#"):
            continue
        depth = (len(line) - len(line.lstrip(" "))) // 2
        if schema.kind is None:
            parse_head(schema, text, where)
        elif depth == 0:
            if text not in SECTIONS[schema.kind]:
                raise SchemaError(f"{where}: unknown section '{text}'")
            schema.messages.append(Message(text, schema))
            levels = [schema.messages[-1].fields]
        else:
            if depth > len(levels):
                raise SchemaError(f"{where}: indented too far")
            field = parse_field(text, where)
            levels[depth - 1].append(field)
            levels[depth:] = [field.children]
    for message in schema.messages:
        check_fields(message.fields, message.first, message.last, message)
    return schema


def check_fields(fields, first, last, message):
    """Narrows each field to its parent's versions and refuses what the generator cannot say."""
    tags = [f.tag for f in fields if f.tag is not None]
    of_kafka = sum(tag < OWN_TAGS for tag in tags)
    if tags != [*range(of_kafka), *range(OWN_TAGS, OWN_TAGS + len(tags) - of_kafka)]:
        raise SchemaError(f"{message.schema.path.name}: tags must count up from 0, and our own from {OWN_TAGS}, in the order of the fields")
    for f in fields:
        f.since, f.until = max(f.since, first), min(f.until, last)
        if f.since > f.until:
            raise SchemaError(f"{f.where}: in no version of its parent")
        if f.is_struct != bool(f.children):
            why = f"'{f.element}' is no known type" if f.is_struct else "only structs nest"
            raise SchemaError(f"{f.where}: {why}")
        if f.name in CPP_KEYWORDS:
            raise SchemaError(f"{f.where}: '{f.name}' is a C++ keyword")
        if f.name in TAKEN_NAMES:
            raise SchemaError(f"{f.where}: '{f.name}' is a name of the generated code")
        if f.tag is not None and (f.since < message.flexible or f.element == "records"):
            raise SchemaError(f"{f.where}: this field cannot be tagged")
        if f.default == "null" and f.nullable_since is None:
            raise SchemaError(f"{f.where}: default null without nullable")
        check_fields(f.children, f.since, f.until, message)
