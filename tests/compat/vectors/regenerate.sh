#!/bin/sh
# Makes the wire vectors of kafka/testdata/vectors anew with Kafka's own classes and compares them with the committed ones.
#
#   regenerate.sh            fails when they differ
#   regenerate.sh --write    replaces the committed ones
#
# Needs a JDK (17 or newer) and Maven, which fetches the jars that pom.xml pins.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../../.." && pwd)
vectors=$root/kafka/testdata/vectors

for tool in mvn javac java; do
  if ! command -v "$tool" >/dev/null; then
    echo "NOT RUN: '$tool' is missing: install a JDK and Maven (Debian: default-jdk-headless maven)"
    exit 77
  fi
done

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

mvn -q -B -f "$here/pom.xml" dependency:copy-dependencies -DoutputDirectory="$work/jars"
javac -encoding UTF-8 -cp "$work/jars/*" -d "$work/classes" "$here/Vectors.java"
java -cp "$work/jars/*:$work/classes" Vectors "$root/kafka/schema" "$work/vectors"

if [ "${1:-}" = --write ]; then
  mkdir -p "$vectors"
  rm -f "$vectors"/*.txt
  cp "$work/vectors"/*.txt "$vectors"
  echo "wrote $(ls "$vectors" | wc -l) files"
elif diff -rq "$work/vectors" "$vectors"; then
  echo "wire vectors: $(cat "$vectors"/*.txt | wc -l) are as Kafka writes them"
else
  echo "regenerate.sh: Kafka writes other bytes than the committed vectors (see above)" >&2
  exit 1
fi
