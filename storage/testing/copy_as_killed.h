#pragma once
// What kill -9 leaves of a directory that a running store writes to: all of its files as they are
// at one moment.
//
// Thread rule: any thread; the store's own threads may go on meanwhile.

#include <string>

namespace sluice::storage::testing {

// `to` is made anew. Copies again until nothing has changed while it copied.
void CopyAsKilled(const std::string& from, const std::string& to);

}  // namespace sluice::storage::testing
