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
        self.refused("  name: string, default null\n", "default null without nullable")
        self.refused("  name: string, since 9\n", "in no version of its parent")
        self.refused("  default: string\n", "C++ keyword")

    def test_refuses_a_head_without_key(self):
        with self.assertRaises(SchemaError):
            parse("api Thing, versions 0-5\n")


if __name__ == "__main__":
    unittest.main()
