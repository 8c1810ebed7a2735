#include "cli/raft_metrics.h"

#include <string>
#include <utility>
#include <vector>

namespace sluice::cli {
namespace {

using admin::MetricsText;
using Series = std::vector<std::pair<std::string_view, uint64_t>>;

void WriteSeries(MetricsText::Family family, std::string_view label, const Series& series) {
  for (const auto& [value, count] : series)
    family.Add({{label, value}}, static_cast<int64_t>(count));
}

void WriteState(const raft::DriverStatus& status, MetricsText& text) {
  MetricsText::Family roles = text.Gauge("sluice_raft_role", "1 for the role that this voter has.");
  for (const auto& [role, name] : {std::pair(raft::Role::kFollower, "follower"),
                                   {raft::Role::kPreCandidate, "pre_candidate"},
                                   {raft::Role::kCandidate, "candidate"},
                                   {raft::Role::kLeader, "leader"}})
    roles.Add({{"role", name}}, int64_t{status.role == role});
  MetricsText::Family waits = text.Gauge(
      "sluice_raft_voteless", "1 while this voter does not vote, for the reason that is named.");
  waits.Add({{"reason", "entries_lost"}}, int64_t{status.recovering});
  waits.Add({{"reason", "disk_as_formatted"}}, int64_t{status.inquiring});
  text.Gauge("sluice_raft_term", "Term of the quorum, as far as this voter knows.")
      .Add({}, status.term.value());
  text.Gauge("sluice_raft_commit_lag",
             "Entries of this voter's metadata log that are not committed, as far as it knows.")
      .Add({}, status.last_index - status.commit);
  text.Gauge("sluice_raft_apply_lag", "Committed entries that this voter has not applied yet.")
      .Add({}, status.commit - status.applied);
}

// Of what the leader knows of the others; elsewhere there are none.
void WritePeers(const raft::DriverStatus& status, const std::map<NodeId, uint64_t>& dropped,
                MetricsText& text) {
  std::vector<raft::PeerStatus> heard;
  for (const auto* peers : {&status.voters, &status.learners}) {
    for (const raft::PeerStatus& peer : *peers) {
      const bool other = status.role == raft::Role::kLeader && peer.voter.id != status.leader;
      if (other && peer.last_heard_ms >= 0) heard.push_back(peer);
    }
  }
  MetricsText::Family lag =
      text.Gauge("sluice_raft_peer_lag",
                 "Entries that a peer of this leader is not known to have on its disk.");
  for (const raft::PeerStatus& peer : heard)
    lag.Add({{"peer", std::to_string(peer.voter.id.value())}}, status.last_index - peer.match);
  MetricsText::Family trip =
      text.Gauge("sluice_raft_peer_round_trip_seconds",
                 "Time of this leader's last heartbeat to a peer until its answer.");
  for (const raft::PeerStatus& peer : heard) {
    if (peer.round_trip_micros < 0) continue;
    trip.Add({{"peer", std::to_string(peer.voter.id.value())}},
             static_cast<double>(peer.round_trip_micros) / 1e6);
  }
  MetricsText::Family drops =
      text.Counter("sluice_raft_messages_dropped_total",
                   "Messages to a peer that were never sent: it could not be reached, or too much "
                   "waited for it. Raft sends again what it needs.");
  for (const auto& [peer, count] : dropped) {
    const std::string name = peer == kNoNode ? "unknown" : std::to_string(peer.value());
    drops.Add({{"peer", name}}, static_cast<int64_t>(count));
  }
}

void WriteElections(const raft::Metrics& counts, MetricsText& text) {
  WriteSeries(text.Counter("sluice_raft_elections_started_total",
                           "Elections that this voter stood in, by what made it stand."),
              "cause",
              {{"timeout", counts.elections_by_timeout},
               {"lost_leader", counts.elections_by_lost_leader},
               {"transfer", counts.elections_by_transfer}});
  WriteSeries(
      text.Counter("sluice_raft_votes_refused_total", "Votes and pre-votes that were refused."),
      "reason",
      {{"leader_heard", counts.votes_refused_sticky},
       {"log_behind", counts.votes_refused_log},
       {"entries_lost", counts.votes_refused_lost},
       {"vote_given", counts.votes_refused_given},
       {"term_over", counts.votes_refused_term}});
}

void WriteRefusals(const raft::DriverStatus& status, MetricsText& text) {
  const raft::Metrics& counts = status.counts;
  Series refused;
  for (size_t i = 0; i < raft::kRefusalCount; ++i)
    refused.emplace_back(raft::RefusalName(static_cast<raft::Refusal>(i)), counts.refused[i]);
  WriteSeries(text.Counter("sluice_raft_messages_refused_total",
                           "Messages of others that were dropped: another cluster, another disk, "
                           "impossible content."),
              "reason", refused);
  WriteSeries(text.Counter("sluice_raft_proposals_refused_total",
                           "Changes of metadata or members that this voter did not take."),
              "reason",
              {{"not_leading", counts.proposals_refused_not_leading},
               {"too_large", counts.proposals_refused_too_large},
               {"backlog", counts.proposals_refused_backlog},
               {"members", counts.changes_refused}});
}

void WriteCounts(const raft::DriverStatus& status, MetricsText& text) {
  const raft::Metrics& counts = status.counts;
  const auto count = [&text](std::string_view name, std::string_view help, uint64_t value) {
    text.Counter(name, help).Add({}, static_cast<int64_t>(value));
  };
  count("sluice_raft_pre_votes_started_total",
        "Times that this voter asked whether it would be elected.", counts.pre_votes_started);
  count("sluice_raft_elections_won_total", "Elections that this voter won.", counts.elections_won);
  count("sluice_raft_resignations_total",
        "Times that this voter gave up the lead: a majority did not answer, or it was removed.",
        counts.resignations);
  count("sluice_raft_appends_refused_total",
        "Appends of a leader that did not follow this voter's log.", counts.appends_refused);
  count("sluice_raft_entries_truncated_total",
        "Entries, none of them committed, that a leader's own replaced.", counts.entries_truncated);
  count("sluice_raft_snapshots_sent_total", "Snapshots that this leader began to send.",
        counts.snapshots_sent);
  count("sluice_raft_snapshots_installed_total", "Snapshots that took the place of the log.",
        counts.snapshots_installed);
  count("sluice_raft_reads_confirmed_total",
        "Times that a majority confirmed the lead for whoever asked.", counts.reads_confirmed);
  count("sluice_raft_reads_refused_total",
        "Times that nobody was asked, because too many waited already.", status.reads_refused);
}

}  // namespace

void WriteRaftMetrics(const raft::DriverStatus& status, const RaftTraffic& traffic,
                      MetricsText& text) {
  WriteState(status, text);
  WritePeers(status, traffic.dropped, text);
  text.Counter("sluice_raft_streams_paused_total",
               "Times that a peer's messages were not read on, for too many waited here.")
      .Add({}, static_cast<int64_t>(traffic.streams_paused));
  WriteElections(status.counts, text);
  WriteRefusals(status, text);
  WriteCounts(status, text);
}

}  // namespace sluice::cli
