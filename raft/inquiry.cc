// A voter whose disk is as it was formatted: nothing but the bootstrap entry, and no vote. On the
// first day all are like that. Later one comes back like that when its disk was lost and somebody
// formatted it again with the cluster's plan, under its former identity: it may have voted, and
// acknowledged entries that a majority counts on, and remembers nothing of it. The two look alike,
// so it asks before it takes part in anything. When all the others have answered:
//   - whoever had its vote was in that term before it asked, so in the newest of their terms and in
//   all before it must not vote again, and in later ones it never has;
//   - where nobody holds more than the bootstrap entry, or has lost more, nothing more can be
//   committed: it is the first day;
//   - where somebody does, it has lost what it held, and that is damage like any other
//   (recovering.cc), up to the last entry of the leader of that term: whatever it got in that term,
//   it got from there, and what was committed before is there too. The leader's voters have to be
//   those of the bootstrap entry, and that committed: nobody else counts this one's vote any more.
//   Somebody else may have: a voter that was removed since, and does not know it yet, campaigns on,
//   and is not asked. What it was given before this one's disk was formatted it has forgotten
//   itself an election timeout later, so what counts is asked after that.
#include <algorithm>

#include "raft/core.h"
#include "raft/fault.h"

namespace sluice::raft {
namespace {

std::vector<VoterId> IdsOf(const std::vector<Member>& members) {
  std::vector<VoterId> ids;
  for (const Member& member : members) ids.push_back(member.id);
  std::ranges::sort(ids);
  return ids;
}

}  // namespace

void Core::BeginInquiry(const OpenedLog& opened) {
  // It may have taken a snapshot of that much, or found damage in it.
  const bool as_formatted = opened.last_index == LogIndex(0) && opened.hard_state.term == Term(0);
  // Alone there is nobody who could tell, nor anybody who could count on it.
  if (!as_formatted || !IsVoter() || members().voters.size() == 1 || !config_.inquire) return;
  if (FaultPlanted(Fault::kNoInquiry)) return;
  inquiry_ = Inquiring{.question = random_.Next(),
                       .ask_at_ms = now_ms_,
                       .candidacies_end_ms = now_ms_ + 2 * config_.election_timeout_ms_max};
}

void Core::TickInquiry() {
  if (!inquiry_->candidacies_ended && now_ms_ >= inquiry_->candidacies_end_ms) {
    inquiry_->candidacies_ended = true;
    inquiry_->question = random_.Next();
    inquiry_->heard.clear();
    inquiry_->ask_at_ms = now_ms_;
  }
  if (now_ms_ < inquiry_->ask_at_ms) return;
  inquiry_->ask_at_ms = now_ms_ + config_.inquiry_interval_ms;
  const Inquiry question{inquiry_->question, IdsOf(members().voters)};
  for (const VoterId& voter : question.voters) {
    if (voter != self_) SendNow(voter.id, question);
  }
}

// Whoever asks itself answers too: it holds nothing.
void Core::AnswerInquiry(NodeId to, Inquiry inquiry) {
  std::ranges::sort(inquiry.voters);
  const bool same = MembersAreCommitted() && inquiry.voters == IdsOf(members().voters);
  SendNow(to, InquiryResponse{.question = inquiry.question,
                              .last_index = std::max(log_.last_index(), hard_state_.lost.upto),
                              .leads = role_ == Role::kLeader,
                              .same_voters = same});
}

void Core::HandleInquiryResponse(const Message& message, const InquiryResponse& response) {
  if (!inquiring() || response.question != inquiry_->question) return;
  inquiry_->heard[message.from.id] = {message.term, response};
  ConcludeInquiry();
}

void Core::ConcludeInquiry() {
  const bool all = inquiry_->heard.size() == members().voters.size() - 1;
  Term newest;
  bool first_day = true;
  for (const auto& [id, heard] : inquiry_->heard) {
    newest = std::max(newest, heard.term);
    first_day = first_day && heard.answer.last_index <= LogIndex(0);
  }
  if (!all && (first_day || !FaultPlanted(Fault::kInquiryOfSome))) return;
  if (first_day) return EndInquiry(newest, self_.id, {});
  if (!inquiry_->candidacies_ended && !FaultPlanted(Fault::kInquiryOfSome)) return;
  for (const auto& [id, heard] : inquiry_->heard) {
    if (!heard.answer.leads || heard.term != newest || !heard.answer.same_voters) continue;
    return EndInquiry(newest, id, {heard.answer.last_index, newest});
  }
}

// `vote`: in `newest`, for it may have been given away before.
void Core::EndInquiry(Term newest, NodeId vote, const LostEntries& lost) {
  inquiry_.reset();
  AdoptTerm(newest);
  if (newest > Term(0)) SetVote(vote);
  hard_state_.lost = lost;
  RestartElectionTimer();
}

std::string Core::WhyInquiring() const {
  if (!inquiring()) return "";
  std::string silent;
  bool changed = false;
  for (const Member& voter : members().voters) {
    const auto heard = inquiry_->heard.find(voter.id.id);
    if (heard != inquiry_->heard.end()) {
      changed = changed || !heard->second.answer.same_voters;
    } else if (voter.id != self_) {
      silent += (silent.empty() ? "" : ", ") + std::to_string(voter.id.id.value());
    }
  }
  if (changed) return "the voters are not those any more that this disk was formatted with";
  if (!silent.empty()) return "no answer yet from voter " + silent;
  if (!inquiry_->candidacies_ended) return "an election that it has voted in may still go on";
  return "none of the others leads yet";
}

}  // namespace sluice::raft
