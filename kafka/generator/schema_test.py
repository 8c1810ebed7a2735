"""What the schema reader refuses, and that it says where; what it narrows."""

import sys
import tempfile
import unittest
from pathlib import Path

sys.dont_write_bytecode = True
from schema import SchemaError, parse_schema

HEAD = "api Thing, key 1, versions 0-5, flexible since 3\n\nrequest\n"


def parse(text):
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "thing.msg"
        path.write_text(text)
        return parse_schema(path)


class SchemaTest(unittest.TestCase):
    def refused(self, fields, message):
        with self.assertRaises(SchemaError) as caught:
            parse(HEAD + fields)
        self.assertIn(message, str(caught.exception))

    def test_children_keep_within_their_parents_versions(self):
        schema = parse(HEAD + "  things: []Thing, since 2, until 4\n    name: string\n")
        child = schema.messages[0].fields[0].children[0]
        self.assertEqual((child.since, child.until), (2, 4))

    def test_refusals_name_file_and_line(self):
        self.refused("  name: string, sometimes\n", "thing.msg:4: unknown attribute 'sometimes'")
        self.refused("  name string\n", "thing.msg:4: expected 'name: type")
        self.refused("      name: string\n", "thing.msg:4: indented too far")

    def test_refuses_what_cannot_be_generated(self):
        self.refused("  thing: Thing\n", "'Thing' is no known type")
        self.refused("  count: int32\n    inner: int8\n", "only structs nest")
        self.refused("  count: int32, tag 0\n", "cannot be tagged")
        self.refused("  count: int32, since 3, tag 1\n", "tags must count up from 0")
        self.refused("  count: int32, since 3, tag 10001\n", "and our own from 10000")
        self.refused("  name: string, default null\n", "default null without nullable")
        self.refused("  name: string, since 9\n", "in no version of its parent")
        self.refused("  default: string\n", "C++ keyword")
        self.refused("  version: int16\n", "a name of the generated code")

    def test_refuses_a_head_without_its_number(self):
        for head in ("api Thing", "record Thing", "header Thing, key 1", "data Thing, type 1", "record Thing, key 1"):
            with self.assertRaises(SchemaError):
                parse(f"{head}, versions 0-5\n")

    def test_the_versions_of_a_record_are_those_of_its_value(self):
        schema = parse("record Thing, type 7, versions 0-4, flexible since 4\n\n"
                       "key\n  group: string\n\nvalue\n  offset: int64, since 2\n")
        key, value = schema.messages
        self.assertEqual((schema.key, key.name, value.name), (7, "ThingKey", "ThingValue"))
        self.assertEqual((key.first, key.last, key.flexible), (0, 0, 32767))
        self.assertEqual((value.first, value.last, value.flexible), (0, 4, 4))

    def test_each_kind_has_its_own_sections(self):
        for text in ("record Thing, type 7, versions 0-0\n\nrequest\n", HEAD + "\nkey\n",
                     "data Thing, versions 0-0\n\nvalue\n"):
            with self.assertRaisesRegex(SchemaError, "unknown section"):
                parse(text)


if __name__ == "__main__":
    unittest.main()
