#include "kafka/records.h"

#include <algorithm>

#include "base/status.h"

namespace sluice::kafka {

size_t Records::size_bytes() const {
  if (const SharedBytes* shared = view()) return shared->bytes.size();
  size_t total = 0;
  if (const auto* slices = files()) {
    for (const FileSlice& slice : *slices) total += slice.size_bytes;
  }
  return total;
}

std::string_view Records::bytes() const {
  CHECK(files() == nullptr) << "records in files have no bytes in memory";
  const SharedBytes* shared = view();
  return shared == nullptr ? std::string_view() : shared->bytes;
}

bool operator==(const Records& a, const Records& b) {
  if (a.content_.index() != b.content_.index()) return false;
  if (const auto* slices = a.files()) {
    return std::equal(slices->begin(), slices->end(), b.files()->begin(), b.files()->end(),
                      [](const FileSlice& x, const FileSlice& y) {
                        return x.file == y.file && x.offset == y.offset &&
                               x.size_bytes == y.size_bytes;
                      });
  }
  return a.bytes() == b.bytes();
}

}  // namespace sluice::kafka
