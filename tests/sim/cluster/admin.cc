#include "tests/sim/cluster/admin.h"

#include <utility>

#include "kafka/messages/alter_partition_reassignments.h"
#include "kafka/messages/create_topics.h"
#include "kafka/messages/delete_topics.h"
#include "kafka/messages/elect_leaders.h"
#include "kafka/messages/incremental_alter_configs.h"

namespace sluice::sim {

using BrokerRequest = controller::ChangeBrokerRequest;

namespace {

constexpr int16_t kAlterConfigsVersion = 1;
constexpr int16_t kReassignVersion = 0;
constexpr int16_t kElectLeadersVersion = 2;
constexpr int16_t kCreateTopicsVersion = 7;
constexpr int16_t kDeleteTopicsVersion = 6;
constexpr int8_t kTopicResource = 2;
constexpr int8_t kSet = 0;
constexpr int8_t kPreferred = 0;
constexpr int8_t kUnclean = 1;
constexpr int32_t kAdminTimeoutMs = 4000;

std::vector<std::string> ControllersOf(const std::vector<NodeId>& nodes) {
  std::vector<std::string> addresses;
  for (const NodeId node : nodes) addresses.push_back(ControllerAddress(node));
  return addresses;
}

}  // namespace

Admin::Admin(World& world, NodeId self, std::vector<NodeId> nodes, Log& log, AdminOptions options)
    : KafkaClient(world, self, std::move(nodes), log),
      options_(std::move(options)),
      wire_(world, self),
      controllers_(ControllersOf(nodes_), world.loop(), wire_.connect(kControllerLane)) {
  Next();
}

// Stop waits for what is under way.
Admin::~Admin() {
  wire_.EndAll();
  controllers_.Stop();
}

void Admin::Next() {
  Later(random_.Between(1, options_.pause_ms_max), [this] {
    if (quiet_) return;
    Act();
    Next();
  });
}

void Admin::Act() {
  const uint64_t all = options_.set_min_isr + options_.move + options_.elect + options_.remake +
                       options_.drain + options_.decommission;
  if (all == 0) return;
  uint64_t drawn = random_.Below(all);
  const auto is = [&drawn](uint64_t weight) {
    if (drawn < weight) return true;
    drawn -= weight;
    return false;
  };
  if (is(options_.set_min_isr)) {
    const int64_t min_isr = random_.Between(options_.min_isr_min, options_.min_isr_max);
    SetMinIsr(options_.topic, static_cast<int>(min_isr), [](bool) {});
  } else if (is(options_.move)) {
    MoveSome();
  } else if (is(options_.elect)) {
    ElectPreferred(options_.places[random_.Below(options_.places.size())]);
  } else if (is(options_.remake)) {
    Remake();
  } else {
    const bool back = random_.Chance(1, 2);
    const BrokerChange change =
        is(options_.drain)
            ? (back ? BrokerRequest::UNDRAIN : BrokerRequest::DRAIN)
            : (back ? BrokerRequest::CANCEL_DECOMMISSION : BrokerRequest::DECOMMISSION);
    ChangeBroker(change, AnyNode(), [](bool) {});
  }
}

void Admin::MoveSome() {
  const history::Place& place = options_.places[random_.Below(options_.places.size())];
  if (random_.Chance(1, 4)) return Move(place, {});
  std::vector<NodeId> from = nodes_;
  std::vector<NodeId> replicas;
  const int64_t count = random_.Between(options_.replicas_min, 3);
  while (std::ssize(replicas) < count) {
    const auto chosen = from.begin() + static_cast<int64_t>(random_.Below(from.size()));
    replicas.push_back(*chosen);
    from.erase(chosen);
  }
  Move(place, replicas);
}

void Admin::Remake() {
  if (exists_) {
    Delete(options_.scratch);
  } else {
    if (options_.scratch_is_safe) {
      Create(options_.scratch, 3, {{"min.insync.replicas", "2"}});
    } else {
      Create(options_.scratch, static_cast<int>(random_.Between(1, 3)), {});
    }
  }
  exists_ = !exists_;
}

void Admin::Settle(int min_isr) {
  quiet_ = true;
  settled_ = false;
  to_settle_ = {
      [this, min_isr](Done done) { SetMinIsr(options_.topic, min_isr, std::move(done)); }};
  // Both again when the second is refused: what was asked for before may come between them.
  for (const NodeId node : nodes_) {
    to_settle_.push_back([this, node](Done done) {
      ChangeBroker(BrokerRequest::CANCEL_DECOMMISSION, node,
                   [this, node, done = std::move(done)](bool cancelled) {
                     if (!cancelled) return done(false);
                     ChangeBroker(BrokerRequest::UNDRAIN, node, done);
                   });
    });
  }
  SettleNext();
}

void Admin::SettleNext() {
  settled_ = to_settle_.empty();
  if (settled_) return;
  to_settle_.front()([this](bool done) {
    if (done) to_settle_.pop_front();
    Later(done ? 0 : 100, [this] { SettleNext(); });
  });
}

void Admin::ChangeBroker(BrokerChange change, NodeId broker, Done done) {
  BrokerRequest request;
  request.set_operation(change);
  request.set_broker_id(broker.value());
  request.set_force(random_.Chance(1, 4));
  request.set_request_id(std::string(Uuid::Generate(random_).view()));
  controllers_.Call<BrokerRequest, controller::ChangeBrokerResponse>(
      &rpc::ControllerStub::ChangeBroker, std::move(request),
      rpc::CallOptions::Within(kAdminTimeoutMs),
      [done = std::move(done)](const Result<controller::ChangeBrokerResponse>& answer) {
        const auto error = answer.ok()
                               ? static_cast<kafka::ErrorCode>(answer->refusal().error_code())
                               : kafka::ErrorCode::kUnknownServerError;
        done(answer.ok() && (error == kafka::ErrorCode::kNone ||
                             error == kafka::ErrorCode::kBrokerIdNotRegistered ||
                             error == kafka::ErrorCode::kNoReassignmentInProgress));
      });
}

void Admin::SetMinIsr(const std::string& topic, int min_isr, Done done) {
  SetConfig(topic, "min.insync.replicas", std::to_string(min_isr), std::move(done));
}

void Admin::SetConfig(const std::string& topic, const std::string& key, const std::string& value,
                      Done done) {
  kafka::IncrementalAlterConfigsRequest request;
  auto& resource = request.resources.emplace_back();
  resource.resource_type = kTopicResource;
  resource.resource_name = topic;
  auto& config = resource.configs.emplace_back();
  config.name = key;
  config.config_operation = kSet;
  config.value = value;
  To(AnyNode()).Call<kafka::IncrementalAlterConfigsRequest, kafka::IncrementalAlterConfigsResponse>(
      request, kAlterConfigsVersion, kAdminTimeoutMs,
      [done = std::move(done)](const Result<kafka::IncrementalAlterConfigsResponse>& answer) {
        done(answer.ok() && answer->responses.at(0).error_code == 0);
      });
}

void Admin::Move(const history::Place& place, const std::vector<NodeId>& replicas,
                 Answered answered) {
  kafka::AlterPartitionReassignmentsRequest request;
  request.timeout_ms = kAdminTimeoutMs;
  auto& topic = request.topics.emplace_back();
  topic.name = place.topic;
  auto& partition = topic.partitions.emplace_back();
  partition.partition_index = place.partition.value();
  if (!replicas.empty()) {
    partition.replicas.emplace();
    for (const NodeId replica : replicas) partition.replicas->push_back(replica.value());
  }
  To(AnyNode())
      .Call<kafka::AlterPartitionReassignmentsRequest, kafka::AlterPartitionReassignmentsResponse>(
          request, kReassignVersion, kAdminTimeoutMs,
          [answered = std::move(answered)](
              const Result<kafka::AlterPartitionReassignmentsResponse>& answer) {
            if (!answered || !answer.ok() || answer->responses.empty()) return;
            answered(kafka::ErrorCode(answer->responses[0].partitions.at(0).error_code));
          });
}

void Admin::ElectPreferred(const history::Place& place) { Elect(place, kPreferred); }
void Admin::ElectUncleanly(const history::Place& place) { Elect(place, kUnclean); }

void Admin::Elect(const history::Place& place, int8_t type) {
  kafka::ElectLeadersRequest request;
  request.election_type = type;
  request.timeout_ms = kAdminTimeoutMs;
  auto& topic = request.topic_partitions.emplace().emplace_back();
  topic.topic = place.topic;
  topic.partitions = {place.partition.value()};
  To(AnyNode()).Call<kafka::ElectLeadersRequest, kafka::ElectLeadersResponse>(
      request, kElectLeadersVersion, kAdminTimeoutMs, [](const auto&) {});
}

void Admin::Create(const std::string& name, int replicas,
                   const std::map<std::string, std::string>& configs) {
  kafka::CreateTopicsRequest request;
  request.timeout_ms = kAdminTimeoutMs;
  auto& topic = request.topics.emplace_back();
  topic.name = name;
  topic.num_partitions = 1;
  topic.replication_factor = static_cast<int16_t>(replicas);
  for (const auto& [key, value] : configs) {
    auto& config = topic.configs.emplace_back();
    config.name = key;
    config.value = value;
  }
  To(AnyNode()).Call<kafka::CreateTopicsRequest, kafka::CreateTopicsResponse>(
      request, kCreateTopicsVersion, kAdminTimeoutMs, [](const auto&) {});
}

void Admin::Delete(const std::string& name) {
  kafka::DeleteTopicsRequest request;
  request.timeout_ms = kAdminTimeoutMs;
  request.topics.emplace_back().name = name;
  To(AnyNode()).Call<kafka::DeleteTopicsRequest, kafka::DeleteTopicsResponse>(
      request, kDeleteTopicsVersion, kAdminTimeoutMs, [](const auto&) {});
}

}  // namespace sluice::sim
