// `sluice cluster rebalance`: lets brokers carry alike. The plan is the server's; running it is
// this program's work: it asks for a few moves at a time. Each move is in the metadata log and
// outlives controllers and this program; what has not begun when this program ends does not begin.

#include <CLI/CLI.hpp>
#include <algorithm>
#include <iostream>
#include <map>
#include <optional>
#include <set>
#include <vector>

#include "base/clock.h"
#include "base/rate_text.h"
#include "cli/admin_client.h"
#include "cli/partition_output.h"
#include "cli/process.h"

namespace sluice::cli {

namespace {

using Stub = admin::Admin::Stub;

constexpr int kAskAgainMs = 200;
constexpr int64_t kSilenceMsMax = 60'000;  // while nodes and controllers change

struct RebalanceArguments {
  int32_t copies_max = 0;
  bool leaders_only = false;
  int32_t in_flight = 5;
  std::string throttle;
  std::optional<int64_t> bytes_per_second;  // what `throttle` says
};

using Key = std::pair<std::string, int32_t>;

std::string NameOf(const Key& key) { return key.first + "-" + std::to_string(key.second); }

// What a plan has copied, and how long the busiest broker takes for it where only the rate slows it
// down.
struct CopyEstimate {
  int64_t bytes = 0;
  int64_t busiest_bytes = 0;  // that one broker sends, or fetches
  std::optional<int64_t> seconds;
};

CopyEstimate EstimateOf(const admin::PlanRebalanceResponse& plan,
                        const std::optional<int64_t>& bytes_per_second) {
  CopyEstimate estimate;
  std::map<int32_t, int64_t> sent, fetched;
  for (const admin::PlannedMove& move : plan.moves()) {
    const std::set<int32_t> had(move.from().begin(), move.from().end());
    std::vector<int32_t> come;
    for (const int32_t node : move.to()) {
      if (!had.contains(node)) come.push_back(node);
    }
    if (come.empty()) continue;
    estimate.bytes += move.bytes();
    // The preferred leader mostly leads.
    sent[move.from(0)] += move.bytes();
    for (const int32_t node : come)
      fetched[node] += move.bytes() / static_cast<int64_t>(come.size());
  }
  for (const auto& bytes_of : {sent, fetched}) {
    for (const auto& [node, bytes] : bytes_of)
      estimate.busiest_bytes = std::max(estimate.busiest_bytes, bytes);
  }
  if (bytes_per_second.value_or(0) > 0)
    estimate.seconds = (estimate.busiest_bytes + *bytes_per_second - 1) / *bytes_per_second;
  return estimate;
}

nlohmann::json AsJson(const admin::PlanRebalanceResponse& plan,
                      const RebalanceArguments& arguments) {
  nlohmann::json moves = nlohmann::json::array();
  for (const admin::PlannedMove& move : plan.moves()) {
    moves.push_back({{"topic", move.topic()},
                     {"partition", move.partition()},
                     {"from", std::vector<int32_t>(move.from().begin(), move.from().end())},
                     {"replicas", std::vector<int32_t>(move.to().begin(), move.to().end())},
                     {"bytes", move.bytes()},
                     {"reason", move.reason()}});
  }
  const auto loads = [](const auto& list) {
    nlohmann::json json = nlohmann::json::array();
    for (const admin::BrokerLoad& load : list) {
      json.push_back({{"id", load.id()},
                      {"leaders", load.leaders()},
                      {"replicas", load.replicas()},
                      {"bytes", load.bytes()},
                      {"lead_rate", load.lead_rate()},
                      {"write_rate", load.write_rate()}});
    }
    return json;
  };
  nlohmann::json json = {
      {"partitions", moves}, {"before", loads(plan.before())}, {"after", loads(plan.after())}};
  const CopyEstimate estimate = EstimateOf(plan, arguments.bytes_per_second);
  json["copied_bytes"] = estimate.bytes;
  if (estimate.seconds) json["seconds"] = *estimate.seconds;
  return json;
}

void PrintEstimate(const admin::PlanRebalanceResponse& plan, const RebalanceArguments& arguments) {
  const CopyEstimate estimate = EstimateOf(plan, arguments.bytes_per_second);
  std::cout << "\n" << estimate.bytes << " bytes are copied";
  if (estimate.seconds) {
    std::cout << ": with at most " << RateText(*arguments.bytes_per_second)
              << " for each broker that takes about " << *estimate.seconds << " s";
  }
  std::cout << "\n";
}

void PrintPlan(const admin::PlanRebalanceResponse& plan, const RebalanceArguments& arguments) {
  std::vector<std::vector<std::string>> rows;
  for (const admin::PlannedMove& move : plan.moves()) {
    rows.push_back({NameOf({move.topic(), move.partition()}), JoinIds(move.from()),
                    JoinIds(move.to()), std::to_string(move.bytes()), move.reason()});
  }
  PrintTable({"PARTITION", "FROM", "TO", "BYTES", "REASON"}, rows);
  rows.clear();
  for (int i = 0; i < std::min(plan.before_size(), plan.after_size()); ++i) {
    const admin::BrokerLoad& before = plan.before(i);
    const admin::BrokerLoad& after = plan.after(i);
    const auto change = [](int64_t from, int64_t to) {
      return from == to ? std::to_string(from) : std::to_string(from) + " > " + std::to_string(to);
    };
    const auto rates = [](int64_t from, int64_t to) {
      return from == to ? RateText(from) : RateText(from) + " > " + RateText(to);
    };
    rows.push_back({std::to_string(before.id()), change(before.leaders(), after.leaders()),
                    change(before.replicas(), after.replicas()),
                    change(before.bytes(), after.bytes()),
                    rates(before.lead_rate(), after.lead_rate()),
                    rates(before.write_rate(), after.write_rate())});
  }
  std::cout << "\n";
  PrintTable({"BROKER", "LEADERS", "REPLICAS", "BYTES", "LEADS TAKE AND GIVE", "REPLICAS TAKE"},
             rows);
  PrintEstimate(plan, arguments);
}

Result<admin::PlanRebalanceResponse> AskPlan(AdminClient& client,
                                             const RebalanceArguments& arguments) {
  admin::PlanRebalanceRequest request;
  request.set_copies_max(arguments.copies_max);
  request.set_leaders_only(arguments.leaders_only);
  auto plan = client.Call(&Stub::PlanRebalance, request);
  if (!plan.ok()) return plan;
  for (const std::string& why : plan->incomplete()) std::cerr << ForPerson(why) << std::endl;
  return plan;
}

ExitCode Plan(const Context& context, const RebalanceArguments& arguments) {
  AdminClient client(context);
  const auto plan = AskPlan(client, arguments);
  if (!plan.ok()) return client.Report("there is no plan", plan.status());
  if (context.json()) {
    PrintJson(AsJson(*plan, arguments));
  } else if (plan->moves().empty()) {
    std::cerr << "the brokers carry alike: nothing needs to move" << std::endl;
  } else {
    PrintPlan(*plan, arguments);
  }
  if (!plan->moves().empty())
    std::cerr << "nothing was changed; sluice cluster rebalance run carries it out" << std::endl;
  return ExitCode::kOk;
}

// The moves of a plan, a few at a time.
class Runner {
 public:
  Runner(const Context& context, const RebalanceArguments& arguments,
         const admin::PlanRebalanceResponse& plan)
      : client_(context),
        in_flight_(static_cast<size_t>(arguments.in_flight)),
        bytes_per_second_(arguments.bytes_per_second),
        plan_(plan) {}

  // Until all is moved. kFenced where somebody else moved or gave up one of them.
  Status Run() {
    heard_ms_ = clock_.SteadyMs();
    while (next_ < plan_.moves_size() || !moving_.empty()) {
      if (const Status begun = Begin(); !Patient(begun)) return begun;
      const Status looked = Look();
      if (looked.code() == StatusCode::kFenced) GiveUpLatest();
      if (!Patient(looked)) return looked;
      if (!moving_.empty()) SleepMs(kAskAgainMs);
    }
    return ElectPreferred();
  }
  int done() const { return next_ - static_cast<int>(moving_.size()); }

 private:
  // Whether to go on: who does not answer may soon do.
  bool Patient(const Status& status) {
    const bool silent =
        status.code() == StatusCode::kUnavailable || status.code() == StatusCode::kTimeout;
    if (!silent) {
      heard_ms_ = clock_.SteadyMs();
      return status.ok();
    }
    if (clock_.SteadyMs() - heard_ms_ > kSilenceMsMax) return false;
    SleepMs(kAskAgainMs);
    return true;
  }

  // What is asked twice is no change.
  Status Begin() {
    admin::MovePartitionsRequest request;
    for (int i = next_; i < plan_.moves_size(); ++i) {
      if (moving_.size() + static_cast<size_t>(request.moves_size()) >= in_flight_) break;
      admin::PartitionMove* move = request.add_moves();
      move->set_topic(plan_.moves(i).topic());
      move->set_partition(plan_.moves(i).partition());
      *move->mutable_replicas() = plan_.moves(i).to();
    }
    if (request.moves().empty()) return Status::Ok();
    // Also where no answer comes: they may have begun.
    for (const admin::PartitionMove& move : request.moves())
      latest_.insert({move.topic(), move.partition()});
    if (bytes_per_second_) request.set_bytes_per_second(*bytes_per_second_);
    const auto response = client_.Call(&Stub::MovePartitions, request);
    if (!response.ok()) return response.status();
    for (const admin::PartitionOutcome& outcome : response->partitions()) {
      if (!outcome.error().empty()) {
        return Status::Fenced(NameOf({outcome.topic(), outcome.partition()}) +
                              " was not moved: " + outcome.error());
      }
      moving_[{outcome.topic(), outcome.partition()}] = plan_.moves(next_++).to();
    }
    return Status::Ok();
  }

  // Whoever gave up all moves may have done so just before the latest began, and means these too.
  void GiveUpLatest() {
    admin::CancelMovesRequest request;
    for (const Key& key : latest_) {
      admin::PartitionName* name = request.add_partitions();
      name->set_topic(key.first);
      name->set_partition(key.second);
    }
    if (request.partitions().empty()) return;
    // One that does not move is refused, and needs nothing.
    const auto response = client_.Call(&Stub::CancelMoves, request);
    if (!response.ok()) {
      PrintError("what began last could not be given up", response.status(),
                 "sluice cluster rebalance cancel gives up what moves still");
    }
  }

  // Forgets those that have arrived.
  Status Look() {
    if (moving_.empty()) return Status::Ok();
    const auto response = client_.Call(&Stub::ListPartitions, admin::ListPartitionsRequest());
    if (!response.ok()) return response.status();
    for (const admin::Partition& now : response->partitions()) {
      const auto ours = moving_.find({now.topic(), now.partition()});
      if (ours == moving_.end() || !now.adding().empty() || !now.removing().empty()) continue;
      if (!std::equal(now.replicas().begin(), now.replicas().end(), ours->second.begin(),
                      ours->second.end()))
        return Status::Fenced(NameOf(ours->first) + " was given up, or moved elsewhere, meanwhile");
      arrived_.push_back(ours->first);
      moving_.erase(ours);
    }
    latest_.clear();
    return Status::Ok();
  }

  Status ElectPreferred() {
    if (arrived_.empty()) return Status::Ok();
    admin::ElectLeadersRequest request;
    for (const Key& key : arrived_) {
      request.add_partitions()->set_topic(key.first);
      request.mutable_partitions()->rbegin()->set_partition(key.second);
    }
    return client_.Call(&Stub::ElectLeaders, request).status();
  }

  AdminClient client_;
  const size_t in_flight_;
  const std::optional<int64_t> bytes_per_second_;
  const admin::PlanRebalanceResponse& plan_;
  const SystemClock clock_;
  int64_t heard_ms_ = 0;
  int next_ = 0;
  std::map<Key, google::protobuf::RepeatedField<int32_t>> moving_;
  std::set<Key> latest_;  // asked for since all that moved was looked at
  std::vector<Key> arrived_;
};

ExitCode Run(const Context& context, const RebalanceArguments& arguments) {
  AdminClient client(context);
  const auto plan = AskPlan(client, arguments);
  if (!plan.ok()) return client.Report("nothing was moved", plan.status());
  if (plan->moves().empty()) {
    std::cerr << "the brokers carry alike: nothing needs to move" << std::endl;
    if (context.json()) PrintJson(AsJson(*plan, arguments));
    return ExitCode::kOk;
  }
  if (!context.json()) PrintPlan(*plan, arguments);
  std::cerr << "moving, " << arguments.in_flight
            << " partitions at a time; if this program ends, what has begun ends by itself, and "
               "the rest does not begin"
            << std::endl;
  Runner runner(context, arguments, *plan);
  if (const Status ran = runner.Run(); !ran.ok()) {
    PrintError("the plan is not carried out to its end: " + std::to_string(runner.done()) + " of " +
                   std::to_string(plan->moves_size()) + " partitions have moved",
               ran,
               "sluice partition list --moving shows what moves still; run it again for a new plan "
               "from here");
    return ExitCode::kPartlyDone;
  }
  std::cerr << plan->moves_size() << " partitions have moved" << std::endl;
  if (context.json()) PrintJson(AsJson(*plan, arguments));
  return ExitCode::kOk;
}

ExitCode Cancel(const Context& context, const RebalanceArguments&) {
  AdminClient client(context);
  const auto response = client.Call(&Stub::CancelMoves, admin::CancelMovesRequest());
  if (!response.ok()) return client.Report("no move was given up", response.status());
  int cancelled = 0;
  for (const admin::PartitionOutcome& outcome : response->partitions()) {
    if (outcome.error().empty()) {
      ++cancelled;
      continue;
    }
    PrintError(NameOf({outcome.topic(), outcome.partition()}) + " still moves as it did",
               outcome.error(), "wait until its old replicas are in sync again");
  }
  std::cerr << cancelled << " moves were given up; a run that asked for them stops" << std::endl;
  if (context.json()) PrintJson({{"cancelled", cancelled}});
  return cancelled == response->partitions_size() ? ExitCode::kOk : ExitCode::kPartlyDone;
}

using RebalanceAction = ExitCode (*)(const Context&, const RebalanceArguments&);

}  // namespace

void AddRebalanceCommands(CLI::App& cluster, Context& context) {
  auto arguments = std::make_shared<RebalanceArguments>();
  CLI::App* rebalance = cluster.add_subcommand(
      "rebalance", "Let brokers carry alike: replicas, bytes, leads, rates; plan shows, run moves");
  rebalance->require_subcommand(1);
  rebalance->footer(
      "Examples:\n  sluice cluster rebalance plan\n  sluice cluster rebalance run --throttle "
      "50MiB\n"
      "  sluice cluster rebalance run --leaders-only");
  const auto add = [&](const char* name, const char* text, RebalanceAction action) {
    CLI::App* verb = rebalance->add_subcommand(name, text);
    verb->callback([&context, arguments, action] {
      context.action = [&context, arguments, action] {
        const auto throttle = ParseThrottle(arguments->throttle);
        if (!throttle.ok()) {
          PrintError("nothing was moved", throttle.status(), "name a rate such as 50MiB");
          return ExitCode::kUsage;
        }
        arguments->bytes_per_second = *throttle;
        return action(context, *arguments);
      };
    });
    return verb;
  };
  CLI::App* plan = add("plan", "Show what would move, and why; changes nothing", Plan);
  CLI::App* run = add("run", "Carry a plan out, a few partitions at a time", Run);
  run->add_option("--in-flight", arguments->in_flight, "partitions that move at once")
      ->check(CLI::Range(1, 1000))
      ->capture_default_str();
  for (CLI::App* verb : {plan, run}) {
    verb->add_flag("--leaders-only", arguments->leaders_only, "nothing is copied");
    verb->add_option("--throttle", arguments->throttle, kThrottleHelp);
    verb->add_option("--max-copies", arguments->copies_max,
                     "replicas that are copied, at most; 0 = 1000")
        ->check(CLI::Range(0, 1000));
  }
  add("cancel", "Give up all moves under way, whoever asked for them", Cancel);
}

}  // namespace sluice::cli
