#pragma once
// RaftConfig: every number that shapes the behaviour of the quorum. The simulator draws them at
// random; servers take them from their configuration.
//
// Thread rule: a value.

#include <cstddef>
#include <cstdint>

namespace sluice::raft {

struct RaftConfig {
  int64_t heartbeat_ms = 50;
  // A follower that hears no leader for a random time in this range asks for an election; voters
  // that heard one within the lower bound refuse. A leader that has not heard a majority for the
  // lower bound resigns.
  int64_t election_timeout_ms_min = 300;
  int64_t election_timeout_ms_max = 600;
  // The same for a node that has never heard a leader since it started, so that a fresh cluster is
  // ready soon. After start_attempts_max campaigns without success the usual range applies: on a
  // slow network short ones would only split votes.
  int64_t start_timeout_ms_min = 20;
  int64_t start_timeout_ms_max = 150;
  int start_attempts_max = 10;
  // After the leader's address refused a connection: the process is dead, only the other followers
  // need a moment to notice too.
  int64_t leader_lost_timeout_ms_min = 20;
  int64_t leader_lost_timeout_ms_max = 60;
  int64_t transfer_timeout_ms = 600;
  // A voter with nothing but the bootstrap entry asks all others whether the cluster has run
  // (inquiry.cc), every so often. Off: the caller knows that no disk is formatted twice under one
  // identity.
  bool inquire = true;
  int64_t inquiry_interval_ms = 50;

  size_t append_bytes_max = 1 << 20;  // entries in one AppendRequest (one entry may exceed it)
  size_t window_messages_max = 64;    // appends in flight to one follower ...
  size_t window_bytes_max = 8 << 20;  // ... and their bytes
  size_t proposal_bytes_max =
      64 << 20;               // proposed and not yet committed; beyond it proposals are refused
  size_t reads_max = 10'000;  // that wait for their answer; beyond it reads are refused
  size_t entry_bytes_max = 16 << 20;  // of one proposal: it must fit in one message
  size_t cache_bytes_max =
      4 << 20;  // recent entries kept in memory for followers that are a little behind
  size_t apply_bytes_max = 4 << 20;  // entries handed to the state machine at once
  size_t snapshot_chunk_bytes = 1 << 20;
  size_t snapshot_bytes_max = 1 << 30;  // that a follower takes
  // A snapshot is taken after this many bytes of entries, or this long after the last one when
  // anything was applied since.
  size_t snapshot_interval_bytes = 64 << 20;
  int64_t snapshot_interval_ms = 3'600'000;
};

}  // namespace sluice::raft
