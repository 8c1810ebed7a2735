#!/bin/sh
# Makes the bytes that the wire codec, the record batches and the records of groups are measured by anew
# with Kafka's own classes, and compares them with the committed ones.
#
#   regenerate.sh            fails when they differ
#   regenerate.sh --write    replaces the committed ones
#
# Needs a JDK (17 or newer) and Maven, which fetches the jars that pom.xml pins.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../../.." && pwd)

for tool in mvn javac java; do
  if ! command -v "$tool" >/dev/null; then
    echo "NOT RUN: '$tool' is missing: install a JDK and Maven (Debian: default-jdk-headless maven)"
    exit 77
  fi
done

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

mvn -q -B -f "$here/pom.xml" dependency:copy-dependencies -DoutputDirectory="$work/jars"
javac -encoding UTF-8 -cp "$work/jars/*" -d "$work/classes" "$here"/*.java
run() { java -cp "$work/jars/*:$work/classes" "$@"; }
run Vectors "$root/kafka/schema" "$work/kafka/testdata/vectors"
run Batches write "$work/kafka/testdata/batches"
run GroupRecords "$work/broker/testdata/group"

status=0
for kind in kafka/testdata/vectors kafka/testdata/batches broker/testdata/group; do
  if [ "${1:-}" = --write ]; then
    mkdir -p "$root/$kind"
    rm -f "$root/$kind"/*
    cp "$work/$kind"/* "$root/$kind"
    echo "$kind: wrote $(ls "$root/$kind" | wc -l) files"
  elif diff -rq "$work/$kind" "$root/$kind"; then
    echo "$kind: $(ls "$root/$kind" | wc -l) files are as Kafka writes them"
  else
    echo "$kind: Kafka writes other bytes than the committed ones (see above)" >&2
    status=1
  fi
done
exit $status
