#pragma once
// Records: the record batches inside a Produce or Fetch message, never copied: null, a view of
// memory (a request's own frame), or ranges of segment files that sendfile will move.
//
// Thread rule: values; what they refer to is immutable while they live.

#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "base/output_chain.h"

namespace sluice::kafka {

class Records {
 public:
  Records() = default;  // null, which the wire tells from empty
  static Records View(SharedBytes bytes) { return Records(std::move(bytes)); }
  static Records Files(std::vector<FileSlice> slices) { return Records(std::move(slices)); }

  bool is_null() const { return std::holds_alternative<std::monostate>(content_); }
  size_t size_bytes() const;
  // The bytes of a view; empty for null. Files have none in memory: CHECK.
  std::string_view bytes() const;
  // The view with its owner, or nullptr when this is no view.
  const SharedBytes* view() const { return std::get_if<SharedBytes>(&content_); }
  // The file ranges, or nullptr when there are none.
  const std::vector<FileSlice>* files() const {
    return std::get_if<std::vector<FileSlice>>(&content_);
  }

  // Views are equal when their bytes are, files when they are the same ranges of the same open
  // file.
  friend bool operator==(const Records& a, const Records& b);

 private:
  using Content = std::variant<std::monostate, SharedBytes, std::vector<FileSlice>>;
  explicit Records(Content content) : content_(std::move(content)) {}

  Content content_;
};

}  // namespace sluice::kafka
