#pragma once
// SharedMap: a sorted map whose copies share what they have in common. A copy costs a pointer for
// each leaf, a change costs its leaf, and what two copies differ in is found without a look at the
// rest. For large tables of which every version stays readable, as the metadata's
// (metadata/image.h).
//
// Thread rule: as a std::map; copies may be used by different threads. One that was moved from may
// only be destroyed or assigned to.

#include <glog/logging.h>

#include <algorithm>
#include <cstddef>
#include <initializer_list>
#include <iterator>
#include <memory>
#include <utility>
#include <vector>

namespace sluice {

// `kLeafMax`: values of a leaf. Copying one costs as much as these, and a copy of the map has a
// pointer for about half as many.
template <typename Key, typename Value, size_t kLeafMax = 64>
class SharedMap {
 public:
  using value_type = std::pair<Key, Value>;

 private:
  using Leaf = std::vector<value_type>;  // sorted, never empty
  using Leaves = std::vector<std::shared_ptr<const Leaf>>;

 public:
  class const_iterator {
   public:
    using iterator_category = std::forward_iterator_tag;
    using value_type = SharedMap::value_type;
    using difference_type = std::ptrdiff_t;
    using pointer = const value_type*;
    using reference = const value_type&;

    const_iterator() = default;
    reference operator*() const { return (*(*leaves_)[leaf_])[at_]; }
    pointer operator->() const { return &**this; }
    const_iterator& operator++() {
      if (++at_ == (*leaves_)[leaf_]->size()) SkipLeaf();
      return *this;
    }
    const_iterator operator++(int) {
      const_iterator before = *this;
      ++*this;
      return before;
    }
    friend bool operator==(const const_iterator&, const const_iterator&) = default;

   private:
    friend class SharedMap;
    const_iterator(const Leaves& leaves, size_t leaf, size_t at)
        : leaves_(&leaves), leaf_(leaf), at_(at) {}
    bool AtEnd() const { return leaf_ == leaves_->size(); }
    // The leaf that begins here; null in the middle of one.
    const Leaf* Begins() const { return AtEnd() || at_ != 0 ? nullptr : (*leaves_)[leaf_].get(); }
    void SkipLeaf() {
      ++leaf_;
      at_ = 0;
    }

    const Leaves* leaves_ = nullptr;
    size_t leaf_ = 0;
    size_t at_ = 0;
  };

  SharedMap() = default;
  SharedMap(std::initializer_list<value_type> values) {
    for (const value_type& value : values) Set(value.first, value.second);
  }

  const_iterator begin() const { return {leaves_, 0, 0}; }
  const_iterator end() const { return {leaves_, leaves_.size(), 0}; }
  size_t size() const { return size_; }
  bool empty() const { return size_ == 0; }
  size_t leaf_count() const { return leaves_.size(); }  // what a copy costs

  // The first that is not below `key`.
  const_iterator lower_bound(const Key& key) const {
    if (leaves_.empty()) return end();
    const size_t leaf = LeafOf(key);
    const size_t at = PlaceIn(*leaves_[leaf], key);
    return at == leaves_[leaf]->size() ? const_iterator(leaves_, leaf + 1, 0)
                                       : const_iterator(leaves_, leaf, at);
  }
  const_iterator find(const Key& key) const {
    const const_iterator found = lower_bound(key);
    return found == end() || key < found->first ? end() : found;
  }
  // There must be one.
  const Value& at(const Key& key) const {
    const const_iterator found = find(key);
    CHECK(found != end());
    return found->second;
  }
  bool contains(const Key& key) const { return find(key) != end(); }

  // Adds the value, or replaces the one that `key` has.
  void Set(const Key& key, Value value) {
    if (leaves_.empty()) leaves_.push_back(std::make_shared<Leaf>());
    const size_t index = LeafOf(key);
    auto leaf = std::make_shared<Leaf>(*leaves_[index]);
    const auto place = leaf->begin() + static_cast<ptrdiff_t>(PlaceIn(*leaf, key));
    if (place != leaf->end() && !(key < place->first)) {
      place->second = std::move(value);
    } else {
      leaf->insert(place, {key, std::move(value)});
      ++size_;
    }
    if (leaf->size() > kLeafMax) {
      // What is filled in order fills its leaves.
      const bool last = index + 1 == leaves_.size() && leaf->back().first == key;
      const auto middle = leaf->begin() + static_cast<ptrdiff_t>(last ? kLeafMax : kLeafMax / 2);
      auto upper = std::make_shared<Leaf>(middle, leaf->end());
      leaf->erase(middle, leaf->end());
      leaves_.insert(leaves_.begin() + static_cast<ptrdiff_t>(index) + 1, std::move(upper));
    }
    leaves_[index] = std::move(leaf);
  }

  // False: there was none.
  bool Erase(const Key& key) {
    const const_iterator found = find(key);
    if (found == end()) return false;
    const auto place = leaves_.begin() + static_cast<ptrdiff_t>(found.leaf_);
    auto leaf = std::make_shared<Leaf>(**place);
    leaf->erase(leaf->begin() + static_cast<ptrdiff_t>(found.at_));
    --size_;
    *place = std::move(leaf);
    // Leaves that shrink are joined: two neighbours together are half full.
    if ((*place)->empty()) {
      leaves_.erase(place);
    } else if (!JoinWithNext(place) && place != leaves_.begin()) {
      JoinWithNext(place - 1);
    }
    return true;
  }

  // Calls visit(key, const Value* before, const Value* after) in the order of keys for each that is
  // not the same in both; null: the map has none. Leaves that both share are not looked into.
  template <typename Visit>
  static void VisitChanges(const SharedMap& before, const SharedMap& after, Visit visit) {
    const_iterator a = before.begin(), b = after.begin();
    while (!a.AtEnd() || !b.AtEnd()) {
      if (a.Begins() != nullptr && a.Begins() == b.Begins()) {
        a.SkipLeaf();
        b.SkipLeaf();
      } else if (b.AtEnd() || (!a.AtEnd() && a->first < b->first)) {
        visit(a->first, &a->second, static_cast<const Value*>(nullptr));
        ++a;
      } else if (a.AtEnd() || b->first < a->first) {
        visit(b->first, static_cast<const Value*>(nullptr), &b->second);
        ++b;
      } else {
        if (!(a->second == b->second)) visit(a->first, &a->second, &b->second);
        ++a;
        ++b;
      }
    }
  }

  friend bool operator==(const SharedMap& a, const SharedMap& b) {
    return a.size_ == b.size_ && std::equal(a.begin(), a.end(), b.begin(), b.end());
  }

 private:
  // Whether both are small enough to be one.
  bool JoinWithNext(typename Leaves::iterator place) {
    const auto next = place + 1;
    if (next == leaves_.end() || (*place)->size() + (*next)->size() > kLeafMax / 2) return false;
    auto leaf = std::make_shared<Leaf>(**place);
    leaf->insert(leaf->end(), (*next)->begin(), (*next)->end());
    *place = std::move(leaf);
    leaves_.erase(next);
    return true;
  }
  // The one that has `key`, or would get it. There is at least one, which may be new and empty.
  size_t LeafOf(const Key& key) const {
    const auto above = std::upper_bound(
        leaves_.begin() + 1, leaves_.end(), key,
        [](const Key& wanted, const auto& leaf) { return wanted < leaf->front().first; });
    return static_cast<size_t>(above - leaves_.begin()) - 1;
  }
  static size_t PlaceIn(const Leaf& leaf, const Key& key) {
    const auto place = std::lower_bound(
        leaf.begin(), leaf.end(), key,
        [](const value_type& value, const Key& wanted) { return value.first < wanted; });
    return static_cast<size_t>(place - leaf.begin());
  }

  Leaves leaves_;
  size_t size_ = 0;
};

}  // namespace sluice
