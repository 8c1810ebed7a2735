#include "broker/replica/directory_assigner.h"

#include <iterator>
#include <utility>

#include "broker/sender.h"

namespace sluice::broker {
namespace {

constexpr int64_t kTimeoutMs = 5000;
constexpr size_t kReplicasMax = 1000;  // in one request

}  // namespace

void DirectoryAssigner::Submit(const PartitionKey& replica, const Uuid& directory, bool moved,
                               std::function<void()> known) {
  Assignment assignment{directory, moved, {}};
  if (known) assignment.known.push_back(std::move(known));
  loop_.Post([weak = weak_from_this(), assignment = std::move(assignment), replica] {
    const auto self = weak.lock();
    if (self == nullptr) return;
    self->Add(replica, assignment);
    // Behind what is posted already: the replicas of one image go together.
    self->loop_.Post([weak] {
      if (const auto assigner = weak.lock()) assigner->Send();
    });
  });
}

// That records were lost is told even when the replica has moved on since.
void DirectoryAssigner::Add(const PartitionKey& replica, Assignment assignment) {
  const auto [known, added] = waiting_.try_emplace(replica, assignment);
  if (added) return;
  Assignment& before = known->second;
  assignment.moved = assignment.moved && before.moved;
  assignment.known.insert(assignment.known.end(), std::make_move_iterator(before.known.begin()),
                          std::make_move_iterator(before.known.end()));
  before = std::move(assignment);
}

void DirectoryAssigner::Send() {
  if (pause_.active() || !in_flight_.empty() || waiting_.empty()) return;
  controller::AssignReplicasToDirsRequest request;
  *request.mutable_sender() = MakeSender(state_);
  while (!waiting_.empty() && in_flight_.size() < kReplicasMax) {
    auto node = waiting_.extract(waiting_.begin());
    auto& replica = *request.add_replicas();
    replica.set_topic_id(std::string(node.key().topic_id.view()));
    replica.set_partition(node.key().partition.value());
    replica.set_directory(std::string(node.mapped().directory.view()));
    replica.set_moved(node.mapped().moved);
    in_flight_.insert(std::move(node));
  }
  controller_.AssignReplicasToDirs(std::move(request), kTimeoutMs,
                                   [weak = weak_from_this()](Result<Response> response) {
                                     const auto self = weak.lock();
                                     if (self == nullptr) return;
                                     self->loop_.Post([weak, response = std::move(response)] {
                                       if (const auto assigner = weak.lock())
                                         assigner->OnResponse(response);
                                     });
                                   });
}

void DirectoryAssigner::OnResponse(const Result<Response>& response) {
  Assignments sent = std::exchange(in_flight_, {});
  if (!response.ok() || response->outcome().error_code() != 0) {
    LOG(WARNING) << "telling the directories of " << sent.size() << " replicas: "
                 << (response.ok() ? response->outcome().message() : response.status().ToString());
    return Retry(std::move(sent));
  }
  // A replica that the controller refuses is not ours any more: the image that says so is on its
  // way.
  for (const auto& [replica, assignment] : sent) {
    for (const auto& known : assignment.known) known();
  }
  pause_.Reset();
  Send();
}

void DirectoryAssigner::Retry(Assignments assignments) {
  // What was submitted since is newer.
  Assignments newer = std::exchange(waiting_, std::move(assignments));
  for (const auto& [replica, assignment] : newer) Add(replica, assignment);
  pause_.Start(weak_from_this(), &DirectoryAssigner::Send);
}

}  // namespace sluice::broker
