#pragma once
// Digest: a number that tells a message from others of its kind, for the hash of a run. Two runs of
// a seed that send other things are to differ in it; it need not tell all messages apart.
//
// Thread rule: pure.

#include <cstdint>
#include <initializer_list>
#include <variant>

#include "base/crc32c.h"
#include "raft/types.h"

namespace sluice::raft::testing {

class BodyDigest {
 public:
  uint64_t operator()(const VoteRequest& body) const {
    return Of({body.last_index, body.process, body.pre_vote});
  }
  uint64_t operator()(const VoteResponse& body) const { return Of({body.process, body.granted}); }
  uint64_t operator()(const AppendRequest& body) const {
    const uint32_t last = body.entries.empty() ? 0 : Crc32c(body.entries.back().data);
    return Of({body.prev_index, body.commit, body.entries.size(), last});
  }
  uint64_t operator()(const AppendResponse& body) const {
    return Of({body.match, body.hint_index, body.success});
  }
  uint64_t operator()(const HeartbeatRequest& body) const {
    return Of({body.commit, body.read_sequence});
  }
  uint64_t operator()(const HeartbeatResponse& body) const {
    return Of({body.read_sequence, body.recovering});
  }
  uint64_t operator()(const SnapshotChunk& body) const {
    return Of({body.meta.index, body.offset, body.chunk_crc});
  }
  uint64_t operator()(const SnapshotChunkResponse& body) const {
    return Of({body.index, body.next_offset, body.installed});
  }
  uint64_t operator()(const TimeoutNow&) const { return 0; }
  uint64_t operator()(const Inquiry& body) const { return body.question; }
  uint64_t operator()(const InquiryResponse& body) const {
    return Of({body.question, body.last_index, body.leads});
  }

 private:
  struct Part {
    Part(LogIndex index) : value(static_cast<uint64_t>(index.value())) {}  // NOLINT: converts
    Part(uint64_t number) : value(number) {}                               // NOLINT: converts
    uint64_t value;
  };
  static uint64_t Of(std::initializer_list<Part> parts) {
    uint64_t digest = 0;
    for (const Part& part : parts) digest = (digest ^ part.value) * 1099511628211ULL;
    return digest;
  }
};

inline uint64_t Digest(const MessageBody& body) { return std::visit(BodyDigest(), body); }

}  // namespace sluice::raft::testing
