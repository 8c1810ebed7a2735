#pragma once
// Finding: one thing that is wrong with a file of a log directory, told to a person: which file,
// where in it, what, and what to do about it.
//
// Thread rule: values.

#include <cstdint>
#include <functional>
#include <optional>
#include <string>

namespace sluice::storage {

struct Finding {
  // A fault loses something or misleads a reader; a note is worth knowing and harms nobody.
  enum class Kind { kFault, kNote };

  Kind kind = Kind::kFault;
  std::string file;                  // path of a file or directory
  std::optional<uint64_t> position;  // byte
  std::string problem;
  std::string remedy;  // empty for a note that asks for nothing
};

// Findings go out as they are met: a log directory may have any number of them.
using Report = std::function<void(const Finding&)>;

}  // namespace sluice::storage
