#pragma once
// LeaderFinder: which controller to ask next, as pure logic. It follows the hints that answers
// carry and goes round the known voters when there is none.
//
// Thread rule: one owner.

#include <cstdint>
#include <string>
#include <vector>

namespace sluice::rpc {

inline constexpr int64_t kRetryMinMs = 10;
inline constexpr int64_t kRetryMaxMs = 100;

class LeaderFinder {
 public:
  // `voters`: host:port of each controller; at least one.
  explicit LeaderFinder(std::vector<std::string> voters);

  // Whom to ask now.
  const std::string& current() const { return current_; }
  // `asked` answered that the leader is at `hint` (empty = it knows none).
  void OnNotLeader(const std::string& asked, const std::string& hint);
  // `asked` could not be reached or did not answer in time.
  void OnUnreachable(const std::string& asked);
  // Somebody else (the feed) says who leads.
  void OnLeader(const std::string& address) { current_ = address; }
  // Other controllers vote now. Whom it believes in is asked on; an empty list says nothing.
  void OnVoters(std::vector<std::string> voters);

 private:
  void Rotate();

  std::vector<std::string> voters_;
  size_t next_ = 0;
  std::string current_;
};

// How long to wait before the attempt after `attempts` failed ones: 10, 20, 40, 80, 100, 100, ...
// ms.
int64_t RetryDelayMs(int attempts);

}  // namespace sluice::rpc
