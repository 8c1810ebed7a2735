#pragma once
// What is wrong with a .log, in words: verify and repair say the same of the same bytes.
//
// Thread rule: pure functions.

#include <optional>
#include <string>

#include "storage/batch_header.h"

namespace sluice::storage {

std::string ChecksumProblem(const BatchHeader& batch);
// Of a batch in the segment of `base`, where `expected` is the first offset that may come; nullopt
// when its place is right.
std::optional<std::string> PlaceProblem(const BatchHeader& batch, Offset base, Offset expected);

inline constexpr char kLogIsGone[] = "missing, while its index files are there";
inline constexpr char kNoIndexFits[] =
    "neither of its indexes fits it: this file may be another partition's";

}  // namespace sluice::storage
