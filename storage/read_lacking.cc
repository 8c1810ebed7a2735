#include "storage/read_lacking.h"

#include <string>

namespace sluice::storage {

Status ReadWhatLacks(const std::function<Result<Lacking>(bool may_wait)>& look) {
  std::string bytes;
  for (int i = 0; i <= kLackingMax; ++i) {
    SLUICE_ASSIGN_OR_RETURN(const Lacking lacking, look(/*may_wait=*/i == kLackingMax));
    if (!lacking.any()) break;
    if (lacking.mending != nullptr) {
      lacking.mending->Run();
      continue;
    }
    const FileSlice& slice = lacking.slice;
    bytes.resize(slice.size_bytes);
    SLUICE_RETURN_IF_ERROR(slice.file->ReadAt(slice.offset, bytes.data(), bytes.size()).status());
  }
  return Status::Ok();
}

}  // namespace sluice::storage
