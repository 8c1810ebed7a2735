#!/usr/bin/env python3
"""Turns kafka/schema/*.msg into C++: one header and source per schema, the table of APIs, and the list of all messages.

    generate.py --schema DIR --out DIR      writes DIR/<schema>.h, <schema>.cc, api_table.h, api_table.cc, all.h
    generate.py --schema DIR --list         prints the names of those files, for the build system

schema.py says what a schema looks like. Files are rewritten only when their text changes, so that an
unchanged message is not compiled again.
"""

import argparse
import re
import sys
from pathlib import Path

sys.dont_write_bytecode = True
from schema import ENDLESS, FIXED, SIZED, SchemaError, parse_schema

# --- Types, defaults and conditions ---------------------------------------------------------------


def element_type(f):
    if f.element in FIXED:
        return FIXED[f.element][0]
    return SIZED[f.element][0] if f.element in SIZED else f.element


def value_type(f):
    return f"std::vector<{element_type(f)}>" if f.is_array else element_type(f)


def cpp_type(f):
    return f"std::optional<{value_type(f)}>" if f.optional else value_type(f)


def initializer(f):
    """What follows the member's name in its declaration."""
    if f.optional and f.default != "null":
        return f" = {value_type(f)}({quoted(f) if f.default else ''})"
    if f.element in FIXED and not f.is_array and f.element != "uuid":
        return f" = {f.default or ('false' if f.element == 'bool' else '0')}"
    if f.element == "string" and not f.is_array and f.default and f.default != "null":
        return f" = {quoted(f)}"
    return ""


def quoted(f):
    return f'"{f.default}"'


def differs_from_default(f):
    if f.optional and f.default == "null":
        return f"{f.name}.has_value()"
    if f.element == "records" and not f.is_array:
        return f"!{f.name}.is_null()"
    if f.is_array or f.element in SIZED:
        if f.default and f.default != "null":
            return f"{f.name} != {quoted(f)}"
        return f"!{f.name}.has_value() || !{f.name}->empty()" if f.optional else f"!{f.name}.empty()"
    if f.element == "bool":
        return f"!{f.name}" if f.default == "true" else f.name
    if f.element == "uuid":
        return f"!{f.name}.IsZero()"
    if f.is_struct:
        return f"!({f.name} == {value_type(f)}())"
    return f"{f.name} != {f.default or 0}"


def version_condition(first, last, parent_first, parent_last):
    """The test that `version`, known to be in the parent's range, is in the inner range; empty when it always is."""
    tests = []
    if first > parent_first:
        tests.append(f"version >= {first}")
    if last < parent_last:
        tests.append(f"version <= {last}")
    return " && ".join(tests)


class Scope:
    """A struct being written: its fields, its versions, and how its length forms depend on the version."""

    def __init__(self, name, fields, first, last, message):
        self.name, self.fields, self.first, self.last = name, fields, first, last
        self.message = message
        self.flexible_since = message.flexible

    @staticmethod
    def of(message):
        return Scope(message.name, message.fields, message.first, message.last, message)

    def flexible(self, f=None):
        """As a C++ expression."""
        if (f is not None and f.inflexible) or self.flexible_since > self.last:
            return "false"
        if self.flexible_since <= self.first or (f is not None and f.since >= self.flexible_since):
            return "true"
        return "flexible"

    def nullable(self, f):
        if f.nullable_since is None:
            return "false"
        return version_condition(f.nullable_since, ENDLESS, f.since, ENDLESS) or "true"

    def nested(self, f):
        return Scope(f.element, f.children, f.since, f.until, self.message)

    def structs(self):
        """Structs below this one, innermost first, each type once."""
        found = {}
        for f in self.fields:
            if not f.is_struct:
                continue
            inner = self.nested(f)
            for scope in inner.structs() + [inner]:
                known = found.setdefault(scope.name, scope)
                if shape(known) != shape(scope):
                    raise SchemaError(f"{f.where}: two different structs are called {scope.name}")
        return list(found.values())

    def least_bytes(self):
        """The fewest bytes that this struct takes in any of its versions."""
        return max(1, min(self.least_bytes_in(v) for v in range(self.first, self.last + 1)))

    def least_bytes_in(self, version):
        flexible = version >= self.flexible_since
        total = 1 if flexible else 0
        for f in self.fields:
            if f.tag is not None or not f.since <= version <= f.until:
                continue
            compact = flexible and not f.inflexible
            if f.is_array:
                total += 1 if compact else 4
            elif f.element in FIXED:
                total += FIXED[f.element][2]
            elif f.element in SIZED:
                total += 1 if compact else SIZED[f.element][2]
            else:
                total += 1 if f.optional else self.nested(f).least_bytes_in(version)
        return total


def shape(scope):
    return (scope.first, scope.last, [(f.name, cpp_type(f), f.since, f.until, f.tag, f.default) for f in scope.fields])


# --- C++ ------------------------------------------------------------------------------------------


class Code:
    """Lines of C++ with indentation."""

    def __init__(self):
        self.lines = []
        self.depth = 0

    def __call__(self, text=""):
        self.lines.append("  " * self.depth + text if text else "")

    def open(self, text):
        self(text + " {")
        self.depth += 1

    def close(self, text="}"):
        self.depth -= 1
        self(text)

    def text(self):
        return "\n".join(self.lines) + "\n"


def read_one(f, scope, target):
    """Reads one element (or the whole value, if it is no array) into `target`."""
    if f.element in FIXED:
        return f"{target} = reader.Read{FIXED[f.element][1]}();"
    compact = scope.flexible(f)
    if f.element == "records":
        return f"{target} = reader.ReadRecords({compact}, {scope.nullable(f)});"
    if f.element in SIZED:
        suffix = SIZED[f.element][1]
        if f.optional and not f.is_array:
            return f"{target} = reader.ReadNullable{suffix}({compact}, {scope.nullable(f)});"
        return f"{target} = reader.Read{suffix}({compact});"
    return f"{target}.Read(reader, version);"


def write_read_field(code, f, scope):
    if f.is_array:
        element = element_type(f)
        least = scope.nested(f).least_bytes() if f.is_struct else (FIXED.get(f.element) or (0, 0, 1))[2]
        nullable = scope.nullable(f)
        if f.optional:
            code(f"ReadArray(reader.ReadCount({scope.flexible(f)}, {nullable}, {least}, sizeof({element})), {f.name},")
        else:
            code(f"ReadArray(reader.ReadCount({scope.flexible(f)}, false, {least}, sizeof({element})), {f.name},")
        code(f"          [&]({element}& element) {{ {read_one(f, scope, 'element')} }});")
    elif f.is_struct and f.optional and f.tag is not None:
        # The presence of a tagged struct is a varint, and the tag may come twice.
        code(f"{f.name}.reset();")
        code(f"if (reader.ReadUnsignedVarint() != 0) {f.name}.emplace().Read(reader, version);")
    elif f.is_struct and f.optional:
        code(f"if (reader.ReadPresence({scope.nullable(f)})) {f.name}.emplace().Read(reader, version);")
    else:
        code(read_one(f, scope, f.name))


def write_read(code, scope, qualified):
    code.open(f"void {qualified}::Read(WireReader& reader, [[maybe_unused]] int16_t version)")
    body = Code()
    body.depth = code.depth
    for f in scope.fields:
        if f.tag is not None:
            continue
        condition = version_condition(f.since, f.until, scope.first, scope.last)
        if condition:
            body.open(f"if ({condition})")
        write_read_field(body, f, scope)
        if condition:
            body.close()
    write_read_tags(body, scope)
    declare_flexible(code, body, scope)
    code.close()
    code()


def write_read_tags(body, scope):
    if scope.flexible() == "false":
        return
    tagged = [f for f in scope.fields if f.tag is not None]
    guard = scope.flexible() == "flexible"
    if not tagged:
        body(("if (flexible) " if guard else "") + "reader.ReadUnknownTaggedFields(&unknown_tagged_fields);")
        return
    if guard:
        body.open("if (flexible)")
    body.open("for (TaggedFieldReader tags(reader, &unknown_tagged_fields); tags.Next();)")
    for f in tagged:
        condition = version_condition(f.since, f.until, scope.first, scope.last)
        body.open(f"if (tags.tag() == {f.tag}" + (f" && {condition})" if condition else ")"))
        body("WireReader& reader = tags.payload();")
        write_read_field(body, f, scope)
        body("continue;")
        body.close()
    body("tags.KeepUnknown();")
    body.close()
    if guard:
        body.close()


def declare_flexible(code, body, scope):
    text = "\n".join(body.lines)
    if re.search(r"\bflexible\b", text):
        code(f"const bool flexible = version >= {scope.flexible_since};")
    code.lines.extend(body.lines)


def write_one(f, scope, value):
    if f.element in FIXED:
        return f"writer.Put{FIXED[f.element][1]}({value});"
    compact = scope.flexible(f)
    if f.element == "records":
        return f"writer.PutRecords({value}, {compact}, {scope.nullable(f)});"
    if f.element in SIZED:
        suffix = SIZED[f.element][1]
        if f.optional and not f.is_array:
            return f"writer.PutNullable{suffix}({value}, {compact}, {scope.nullable(f)});"
        return f"writer.Put{suffix}({value}, {compact});"
    return f"{value}.Write(writer, version);"


def write_write_field(code, f, scope):
    if f.is_array:
        if f.optional:
            code.open(f"if (!{f.name}.has_value())")
            code(f"writer.PutNullCount({scope.flexible(f)}, {scope.nullable(f)});")
            code.close("} else {")
            code.depth += 1
        source = f"*{f.name}" if f.optional else f.name
        size = f"{f.name}->size()" if f.optional else f"{f.name}.size()"
        code(f"writer.PutCount({size}, {scope.flexible(f)});")
        loop = "const auto" if f.element in FIXED else "const auto&"
        code(f"for ({loop} element : {source}) {write_one(f, scope, 'element')}")
        if f.optional:
            code.close()
    elif f.is_struct and f.optional:
        if f.tag is not None:
            code(f"writer.PutUnsignedVarint({f.name}.has_value() ? 1 : 0);")
        else:
            code(f"writer.PutPresence({f.name}.has_value(), {scope.nullable(f)});")
        code(f"if ({f.name}.has_value()) {f.name}->Write(writer, version);")
    else:
        code(write_one(f, scope, f.name))


def write_write(code, scope, qualified):
    code.open(f"void {qualified}::Write(WireWriter& writer, [[maybe_unused]] int16_t version) const")
    body = Code()
    body.depth = code.depth
    for f in scope.fields:
        condition = version_condition(f.since, f.until, scope.first, scope.last)
        if f.tag is not None:
            if condition and not f.ignorable:
                body.open(f"if (!({condition}) && ({differs_from_default(f)}))")
                body(f'writer.Reject("{qualified}.{f.name}");')
                body.close()
            continue
        if condition:
            body.open(f"if ({condition})")
        write_write_field(body, f, scope)
        if condition and not f.ignorable:
            body.close(f"}} else if ({differs_from_default(f)}) {{")
            body.depth += 1
            body(f'writer.Reject("{qualified}.{f.name}");')
        if condition:
            body.close()
    write_write_tags(body, scope)
    declare_flexible(code, body, scope)
    code.close()
    code()


def write_write_tags(body, scope):
    if scope.flexible() == "false":
        return
    guard = scope.flexible() == "flexible"
    tagged = [f for f in scope.fields if f.tag is not None]
    if not tagged:
        body(("if (flexible) " if guard else "") + "writer.PutUnknownTaggedFields(unknown_tagged_fields);")
        return
    if guard:
        body.open("if (flexible)")
    body("TaggedFieldWriter tags(writer, unknown_tagged_fields);")
    for f in tagged:
        condition = version_condition(f.since, f.until, scope.first, scope.last)
        test = differs_from_default(f)
        if condition:
            test = f"{condition} && ({test})" if "||" in test else f"{condition} && {test}"
        body.open(f"if ({test})")
        body(f"tags.Begin({f.tag});")
        write_write_field(body, f, scope)
        body("tags.End();")
        body.close()
    body("tags.Finish();")
    if guard:
        body.close()


def write_members(code, scope):
    for f in scope.fields:
        code(f"{cpp_type(f)} {f.name}{initializer(f)};")
    code("std::vector<RawTaggedField> unknown_tagged_fields;")
    code()


def write_struct(code, scope):
    code.open(f"struct {scope.name}")
    write_members(code, scope)
    code("void Read(WireReader& reader, int16_t version);")
    code("void Write(WireWriter& writer, int16_t version) const;")
    code(f"bool operator==(const {scope.name}&) const = default;")
    code.close("};")
    code()


def write_message(code, message):
    schema = message.schema
    scope = Scope.of(message)
    code.open(f"struct {message.name}")
    code(f'static constexpr const char* kName = "{message.name}";')
    if schema.key is not None:
        constant = "kApiKey" if schema.kind == "api" else "kRecordType"
        code(f"static constexpr int16_t {constant} = {schema.key};")
    code(f"static constexpr int16_t kVersionMin = {message.first};")
    code(f"static constexpr int16_t kVersionMax = {message.last};")
    code(f"static constexpr int16_t kFlexibleSince = {message.flexible};")
    code()
    for inner in scope.structs():
        write_struct(code, inner)
    write_members(code, scope)
    code("// Fails on malformed input and on a version out of range; the message is then half filled.")
    code("Status Decode(WireReader& reader, int16_t version);")
    code("// What the version cannot carry is reported by writer.status().")
    code("void Encode(WireWriter& writer, int16_t version) const;")
    code("void Read(WireReader& reader, int16_t version);")
    code("void Write(WireWriter& writer, int16_t version) const;")
    code(f"bool operator==(const {message.name}&) const = default;")
    code.close("};")
    code()


HEAD = "// Generated from kafka/schema/{} by kafka/generator/generate.py.\n"


def uses(fields, test):
    return any(test(f) or uses(f.children, test) for f in fields)


def header_text(schema):
    code = Code()
    code.lines = ["#pragma once", HEAD.format(schema.path.name), "#include <cstdint>"]
    every = [f for m in schema.messages for f in m.fields]
    if uses(every, lambda f: f.optional):
        code("#include <optional>")
    code("#include <string>")
    code("#include <vector>")
    code()
    code('#include "base/status.h"')
    if uses(every, lambda f: f.element == "uuid"):
        code('#include "base/uuid.h"')
    if uses(every, lambda f: f.element == "records"):
        code('#include "kafka/records.h"')
    code('#include "kafka/raw_tagged_field.h"')
    code()
    code("namespace sluice::kafka {")
    code()
    code("class WireReader;")
    code("class WireWriter;")
    code()
    for message in schema.messages:
        write_message(code, message)
    code("}  // namespace sluice::kafka")
    return code.text()


def write_entry_points(code, message):
    code.open(f"Status {message.name}::Decode(WireReader& reader, int16_t version)")
    code("if (version < kVersionMin || version > kVersionMax) return UnsupportedMessageVersion(kName, version);")
    code(f"*this = {message.name}();")
    code("Read(reader, version);")
    code("return reader.StatusOf(kName, version);")
    code.close()
    code()
    code.open(f"void {message.name}::Encode(WireWriter& writer, int16_t version) const")
    code("if (version < kVersionMin || version > kVersionMax) return writer.Reject(kName);")
    code("Write(writer, version);")
    code.close()
    code()


def source_text(schema):
    code = Code()
    code.lines = [HEAD.format(schema.path.name),
                  f'#include "kafka/messages/{schema.file_stem}.h"', "",
                  '#include "kafka/wire_reader.h"', '#include "kafka/wire_writer.h"', "",
                  "namespace sluice::kafka {", ""]
    for message in schema.messages:
        scope = Scope.of(message)
        for inner in scope.structs():
            write_read(code, inner, f"{message.name}::{inner.name}")
            write_write(code, inner, f"{message.name}::{inner.name}")
        write_read(code, scope, message.name)
        write_write(code, scope, message.name)
        write_entry_points(code, message)
    code("}  // namespace sluice::kafka")
    return code.text()


# --- The files that know all messages -------------------------------------------------------------


def table_header_text(apis):
    code = Code()
    code.lines = ["#pragma once", HEAD.format("*.msg"), "#include <cstdint>", "#include <span>", "",
                  "namespace sluice::kafka {", "", "struct ApiInfo;", ""]
    code.open("enum class ApiKey : int16_t")
    for api in apis:
        code(f"k{api.name} = {api.key},")
    code.close("};")
    code()
    code("// In the order of the keys.")
    code("std::span<const ApiInfo> AllApis();")
    code()
    code("}  // namespace sluice::kafka")
    return code.text()


def table_source_text(apis):
    code = Code()
    code.lines = [HEAD.format("*.msg"), '#include "kafka/messages/api_table.h"', "", '#include "kafka/api_keys.h"', "",
                  "namespace sluice::kafka {", "namespace {", "", "constexpr ApiInfo kApis[] = {"]
    for a in apis:
        code(f'    {{ApiKey::k{a.name}, "{a.name}", {a.first}, {a.last}, {a.flexible}, {a.advertised}}},')
    code("};")
    code()
    code("}  // namespace")
    code()
    code("std::span<const ApiInfo> AllApis() { return kApis; }")
    code()
    code("}  // namespace sluice::kafka")
    return code.text()


def all_text(schemas):
    code = Code()
    code.lines = ["#pragma once",
                  "// Every message, for tests and fuzzers that go through all of them.",
                  HEAD.format("*.msg")]
    for schema in schemas:
        code(f'#include "kafka/messages/{schema.file_stem}.h"')
    code()
    code("// X(message) for each.")
    names = [m.name for s in schemas for m in s.messages]
    code("#define SLUICE_KAFKA_ALL_MESSAGES(X) \\")
    for name in names[:-1]:
        code(f"  X({name}) \\")
    code(f"  X({names[-1]})")
    return code.text()


def write_if_changed(path, text):
    if not path.exists() or path.read_text() != text:
        path.write_text(text)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--schema", type=Path, required=True)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--list", action="store_true")
    arguments = parser.parse_args()
    paths = sorted(arguments.schema.glob("*.msg"))
    if arguments.list:
        stems = [p.stem for p in paths] + ["api_table"]
        print(";".join(f"{stem}{suffix}" for stem in stems for suffix in (".h", ".cc")) + ";all.h")
        return 0
    try:
        schemas = [parse_schema(path) for path in paths]
        apis = sorted((s for s in schemas if s.kind == "api"), key=lambda s: s.key)
        outputs = {
            "api_table.h": table_header_text(apis),
            "api_table.cc": table_source_text(apis),
            "all.h": all_text(schemas),
        }
        for schema in schemas:
            outputs[f"{schema.file_stem}.h"] = header_text(schema)
            outputs[f"{schema.file_stem}.cc"] = source_text(schema)
    except SchemaError as error:
        print(f"generate.py: {error}", file=sys.stderr)
        return 1
    arguments.out.mkdir(parents=True, exist_ok=True)
    for name, text in outputs.items():
        write_if_changed(arguments.out / name, text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
