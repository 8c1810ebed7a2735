#include "broker/replica/alter_partition_sender.h"

#include <map>

#include "broker/sender.h"

namespace sluice::broker {
namespace {

constexpr int64_t kTimeoutMs = 5000;

controller::AlterPartitionRequest MakeRequest(const BrokerState& state,
                                              const std::vector<IsrProposal>& proposals) {
  controller::AlterPartitionRequest request;
  *request.mutable_sender() = MakeSender(state);
  for (const IsrProposal& proposal : proposals) {
    auto& partition = *request.add_partitions();
    partition.set_topic_id(std::string(proposal.key.topic_id.view()));
    partition.set_partition(proposal.key.partition.value());
    partition.set_leader_epoch(proposal.leader_epoch.value());
    partition.set_partition_epoch(proposal.partition_epoch.value());
    for (const IsrProposal::Member& member : proposal.isr) {
      auto& replica = *partition.add_isr();
      replica.set_id(member.id.value());
      replica.set_broker_epoch(member.broker_epoch.value());
    }
  }
  return request;
}

}  // namespace

void AlterPartitionSender::Submit(IsrProposal proposal) {
  loop_.Post([weak = weak_from_this(), proposal = std::move(proposal)]() mutable {
    const auto self = weak.lock();
    if (self == nullptr) return;
    self->queue_.push_back(std::move(proposal));
    // Behind what is posted already: proposals of one fetch or one upkeep round go together.
    self->loop_.Post([weak] {
      if (const auto sender = weak.lock()) sender->Send();
    });
  });
}

void AlterPartitionSender::Send() {
  if (pause_.active() || !in_flight_.empty()) return;
  std::erase_if(queue_,
                [](const IsrProposal& proposal) { return !proposal.partition->Awaits(proposal); });
  if (queue_.empty()) return;
  in_flight_ = std::exchange(queue_, {});
  controller_.AlterPartition(MakeRequest(state_, in_flight_), kTimeoutMs,
                             [weak = weak_from_this()](Result<Response> response) {
                               const auto self = weak.lock();
                               if (self == nullptr) return;
                               self->loop_.Post([weak, response = std::move(response)] {
                                 if (const auto sender = weak.lock()) sender->OnResponse(response);
                               });
                             });
}

void AlterPartitionSender::OnResponse(const Result<Response>& response) {
  std::vector<IsrProposal> sent = std::exchange(in_flight_, {});
  // Without an answer the change may have been made or not; the partitions keep to the maximal ISR,
  // and the same proposal is sent again.
  if (!response.ok() || response->outcome().error_code() != 0) {
    if (const auto often = not_answered_.Failed(loop_.clock().SteadyMs())) {
      LOG(WARNING) << "AlterPartition for " << sent.size() << " partitions: "
                   << (response.ok() ? response->outcome().message() : response.status().ToString())
                   << *often;
    }
    // Where there is an answer nothing was done.
    for (IsrProposal& proposal : sent) proposal.unanswered |= !response.ok();
    Retry(std::move(sent));
    return;
  }
  LOG_IF(INFO, not_answered_.Over()) << "AlterPartition is answered again";
  std::map<std::pair<std::string, int32_t>, const Response::Partition*> answers;
  for (const auto& answer : response->partitions())
    answers[{answer.topic_id(), answer.partition()}] = &answer;
  std::vector<IsrProposal> again;
  for (IsrProposal& proposal : sent) {
    const auto found =
        answers.find({std::string(proposal.key.topic_id.view()), proposal.key.partition.value()});
    if (found == answers.end() || proposal.partition->OnProposalAnswer(proposal, *found->second) ==
                                      Partition::ProposalOutcome::kRetry) {
      again.push_back(std::move(proposal));
    }
  }
  if (again.empty()) {
    pause_.Reset();
    Send();
  } else {
    Retry(std::move(again));
  }
}

void AlterPartitionSender::Retry(std::vector<IsrProposal> proposals) {
  std::move(proposals.begin(), proposals.end(), std::back_inserter(queue_));
  pause_.Start(weak_from_this(), &AlterPartitionSender::Send);
}

}  // namespace sluice::broker
