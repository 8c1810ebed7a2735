#include "base/output_chain.h"

namespace sluice {

Result<std::string> Flatten(const OutputChain& chain) {
  std::string all;
  all.reserve(chain.size_bytes());
  for (const OutputChain::Segment& segment : chain.segments()) {
    if (const auto* owned = std::get_if<std::string>(&segment)) {
      all += *owned;
    } else if (const auto* shared = std::get_if<SharedBytes>(&segment)) {
      all += shared->bytes;
    } else {
      const FileSlice& slice = std::get<FileSlice>(segment);
      const size_t start = all.size();
      all.resize(start + slice.size_bytes);
      SLUICE_ASSIGN_OR_RETURN(
          const size_t got, slice.file->ReadAt(slice.offset, all.data() + start, slice.size_bytes));
      if (got != slice.size_bytes) return Status::IoError("file slice is shorter than promised");
    }
  }
  return all;
}

}  // namespace sluice
