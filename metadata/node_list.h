#pragma once
// NodeList: a few node ids in order, as a vector of them, in 16 bytes: three are kept in place,
// more on the heap. A partition has six such lists and a cluster many partitions; as vectors they
// took two thirds of a controller's memory.
//
//   NodeList isr = {NodeId(1), NodeId(2)};
//   const std::vector<NodeId> copy = isr;   // and back: both ways without a word
//
// Not for what grows one by one to many: each push_back beyond three allocates.
//
// Thread rule: a value.

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <initializer_list>
#include <span>
#include <utility>
#include <vector>

#include "base/ids.h"

namespace sluice::metadata {

class NodeList {
 public:
  using value_type = NodeId;
  using iterator = NodeId*;
  using const_iterator = const NodeId*;

  NodeList() = default;
  NodeList(std::initializer_list<NodeId> nodes) { Assign({nodes.begin(), nodes.size()}); }
  // NOLINTNEXTLINE(google-explicit-constructor): lists that are computed are vectors
  NodeList(const std::vector<NodeId>& nodes) { Assign(nodes); }
  NodeList(const NodeList& other) { Assign(other); }
  NodeList(NodeList&& other) noexcept : size_(std::exchange(other.size_, 0)) {
    std::memcpy(inline_, other.inline_, sizeof inline_);
  }
  NodeList& operator=(NodeList other) noexcept {
    std::swap(size_, other.size_);
    std::swap(inline_, other.inline_);
    return *this;
  }
  ~NodeList() { Release(); }

  // NOLINTNEXTLINE(google-explicit-constructor)
  operator std::vector<NodeId>() const { return {begin(), end()}; }

  size_t size() const { return size_; }
  bool empty() const { return size_ == 0; }
  NodeId* begin() { return data(); }
  NodeId* end() { return data() + size_; }
  const NodeId* begin() const { return data(); }
  const NodeId* end() const { return data() + size_; }
  NodeId* data() { return const_cast<NodeId*>(std::as_const(*this).data()); }
  const NodeId* data() const {
    if (size_ <= kInline) return inline_;
    const NodeId* heap = nullptr;
    std::memcpy(&heap, inline_, sizeof heap);
    return heap;
  }
  NodeId operator[](size_t i) const { return data()[i]; }
  NodeId front() const { return data()[0]; }
  NodeId back() const { return data()[size_ - 1]; }
  void clear() { *this = NodeList(); }
  void push_back(NodeId node) {
    std::vector<NodeId> nodes = *this;
    nodes.push_back(node);
    *this = NodeList(nodes);
  }

  friend bool operator==(const NodeList& a, const NodeList& b) {
    return std::equal(a.begin(), a.end(), b.begin(), b.end());
  }

 private:
  static constexpr size_t kInline = 3;

  // REQUIRES: the list is new.
  void Assign(std::span<const NodeId> nodes) {
    NodeId* to = inline_;
    if (nodes.size() > kInline) {
      to = new NodeId[nodes.size()];
      std::memcpy(static_cast<void*>(inline_), &to, sizeof to);
    }
    std::copy(nodes.begin(), nodes.end(), to);
    size_ = static_cast<uint32_t>(nodes.size());
  }
  void Release() {
    if (size_ > kInline) delete[] data();
  }

  uint32_t size_ = 0;
  NodeId inline_[kInline];  // or, of more, a pointer to them
};

static_assert(sizeof(NodeList) == 16);

}  // namespace sluice::metadata
