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
constexpr int64_t kAttemptMs = 4000;      // of one call of a run: asked twice, it is no change
constexpr int64_t kTellSilenceMs = 3000;  // without a controller, until that is told,
constexpr int64_t kTellAgainMs = 10'000;  // and told again

struct RebalanceArguments {
  int32_t copies_max = 0;
  bool leaders_only = false;
  bool validate_only = false;
  int32_t in_flight = 5;
  std::string throttle;
  std::optional<int64_t> bytes_per_second;  // what `throttle` says
  int64_t controller_timeout_ms = 60'000;   // nodes and controllers change meanwhile
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
      : context_(WithAttempts(context)), client_(context_), arguments_(arguments), plan_(plan) {}

  // Until all is moved. kFenced where somebody else moved or cancelled one of them, kTimeout where
  // no controller answers for too long.
  Status Run() {
    heard_ms_ = clock_.SteadyMs();
    while (next_ < plan_.moves_size() || !moving_.empty()) {
      if (const Status begun = WaitIfSilent(Begin()); !begun.ok()) return begun;
      const Status looked = Look();
      if (looked.code() == StatusCode::kFenced) GiveUpLatest();
      if (const Status waited = WaitIfSilent(looked); !waited.ok()) return waited;
      if (!moving_.empty()) SleepMs(kAskAgainMs);
    }
    return ElectPreferred();
  }
  int done() const { return next_ - static_cast<int>(moving_.size()); }

 private:
  static Context WithAttempts(const Context& context) {
    Context attempts = context;
    attempts.timeout_ms = std::min(context.timeout_ms, kAttemptMs);
    return attempts;
  }

  void Heard() {
    heard_ms_ = clock_.SteadyMs();
    tell_ms_ = kTellSilenceMs;
  }

  // Who does not answer may soon do: says so, and is ok until that has taken too long.
  Status WaitIfSilent(const Status& status) {
    const bool silent =
        status.code() == StatusCode::kUnavailable || status.code() == StatusCode::kTimeout;
    if (!silent) return status;
    const int64_t silent_ms = clock_.SteadyMs() - heard_ms_;
    const std::string since =
        "no active controller has answered for " + std::to_string(silent_ms / 1000) + " s";
    if (silent_ms >= arguments_.controller_timeout_ms)
      return Status::Timeout(since + ": " + status.message());
    if (silent_ms >= tell_ms_) {
      std::cerr << since << ", trying on until " << arguments_.controller_timeout_ms / 1000
                << " s: " << ForPerson(status.message()) << std::endl;
      tell_ms_ += kTellAgainMs;
    }
    SleepMs(kAskAgainMs);
    return Status::Ok();
  }

  // What is asked twice is no change.
  Status Begin() {
    admin::MovePartitionsRequest request;
    for (int i = next_; i < plan_.moves_size(); ++i) {
      if (moving_.size() + static_cast<size_t>(request.moves_size()) >=
          static_cast<size_t>(arguments_.in_flight))
        break;
      admin::PartitionMove* move = request.add_moves();
      move->set_topic(plan_.moves(i).topic());
      move->set_partition(plan_.moves(i).partition());
      *move->mutable_replicas() = plan_.moves(i).to();
    }
    if (request.moves().empty()) return Status::Ok();
    // Also where no answer comes: they may have begun.
    for (const admin::PartitionMove& move : request.moves())
      latest_.insert({move.topic(), move.partition()});
    if (arguments_.bytes_per_second) request.set_bytes_per_second(*arguments_.bytes_per_second);
    const auto response = client_.Call(&Stub::MovePartitions, request);
    if (!response.ok()) return response.status();
    Heard();
    for (const admin::PartitionOutcome& outcome : response->partitions()) {
      if (!outcome.error().empty()) {
        return Status::Fenced(NameOf({outcome.topic(), outcome.partition()}) +
                              " was not moved: " + outcome.error());
      }
      moving_[{outcome.topic(), outcome.partition()}] = next_++;
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

  // Of a partition of ours that does not go where it should any more.
  static Status TakenOver(const admin::PlannedMove& ours, const admin::Partition& now) {
    const std::string name = NameOf({now.topic(), now.partition()});
    const std::set<int32_t> from(ours.from().begin(), ours.from().end());
    if (now.adding().empty() && SetOf(now.replicas()) == from) {
      return Status::Fenced(
          "cancelled by another command (sluice cluster rebalance cancel, or one "
          "that gives up single moves): " +
          name + " is back on " + JoinIds(now.replicas()));
    }
    return Status::Fenced("taken over by another command: " + name + " was to move to " +
                          JoinIds(ours.to()) + ", and is on " + JoinIds(now.replicas()) +
                          (now.adding().empty() ? "" : ", with others to come"));
  }

  static std::set<int32_t> SetOf(const google::protobuf::RepeatedField<int32_t>& ids) {
    return {ids.begin(), ids.end()};
  }

  // Forgets those that have arrived, and those whose topic is gone.
  Status Look() {
    if (moving_.empty()) return Status::Ok();
    const auto response = client_.Call(&Stub::ListPartitions, admin::ListPartitionsRequest());
    if (!response.ok()) return response.status();
    if (response->has_remembered()) return Status::Unavailable(WordsOf(response->remembered()));
    Heard();
    std::set<Key> gone;
    for (const auto& [key, index] : moving_) gone.insert(key);
    for (const admin::Partition& now : response->partitions()) {
      const Key key{now.topic(), now.partition()};
      if (gone.erase(key) == 0) continue;
      const admin::PlannedMove& ours = plan_.moves(moving_.at(key));
      std::set<int32_t> target = SetOf(now.replicas());
      for (const int32_t node : now.removing()) target.erase(node);
      if (target != SetOf(ours.to())) return TakenOver(ours, now);
      if (!now.adding().empty() || !now.removing().empty()) continue;
      if (!std::equal(now.replicas().begin(), now.replicas().end(), ours.to().begin(),
                      ours.to().end()))
        return TakenOver(ours, now);
      arrived_.push_back(key);
      moving_.erase(key);
    }
    for (const Key& key : gone) {
      std::cerr << ForPerson(NameOf(key)) << " was deleted meanwhile" << std::endl;
      moving_.erase(key);
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

  const Context context_;  // before the client, which keeps a reference
  AdminClient client_;
  const RebalanceArguments& arguments_;
  const admin::PlanRebalanceResponse& plan_;
  const SystemClock clock_;
  int64_t heard_ms_ = 0;  // of an active controller
  int64_t tell_ms_ = kTellSilenceMs;
  int next_ = 0;
  std::map<Key, int> moving_;  // to their place in the plan
  std::set<Key> latest_;       // asked for since all that moved was looked at
  std::vector<Key> arrived_;
};

// Of a run that only checks: which moves of the plan would be refused.
ExitCode TryOut(const Context& context, AdminClient& client, const RebalanceArguments& arguments,
                const admin::PlanRebalanceResponse& plan) {
  admin::MovePartitionsRequest request;
  request.set_validate_only(true);
  for (const admin::PlannedMove& planned : plan.moves()) {
    admin::PartitionMove* move = request.add_moves();
    move->set_topic(planned.topic());
    move->set_partition(planned.partition());
    *move->mutable_replicas() = planned.to();
  }
  const auto response = client.Call(&Stub::MovePartitions, request);
  if (!response.ok()) return client.Report("the plan cannot be checked", response.status());
  int refused = 0;
  for (const admin::PartitionOutcome& outcome : response->partitions()) {
    if (outcome.error().empty()) continue;
    ++refused;
    PrintError(NameOf({outcome.topic(), outcome.partition()}) + " would not be moved",
               outcome.error(), "ask for a new plan");
  }
  std::cerr << "dry run: " << plan.moves_size() - refused << " partitions would be moved, "
            << arguments.in_flight << " at a time, nothing changed" << std::endl;
  if (context.json()) PrintJson(AsJson(plan, arguments));
  return refused == 0 ? ExitCode::kOk : ExitCode::kFailed;
}

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
  if (arguments.validate_only) return TryOut(context, client, arguments, *plan);
  std::cerr << "moving, " << arguments.in_flight
            << " partitions at a time; if this program ends, what has begun ends by itself, and "
               "the rest does not begin"
            << std::endl;
  Runner runner(context, arguments, *plan);
  if (const Status ran = runner.Run(); !ran.ok()) {
    PrintError(
        "the plan is not carried out to its end: " + std::to_string(runner.done()) + " of " +
            std::to_string(plan->moves_size()) + " partitions have moved",
        ran,
        ran.code() == StatusCode::kTimeout
            ? "start controllers until a majority of them runs (sluice cluster health), and "
              "run it again for a new plan from here; what has begun goes on by itself then"
            : "sluice partition list --moving shows what moves still; run it again for a new "
              "plan from here");
    return ExitCode::kPartlyDone;
  }
  std::cerr << plan->moves_size() << " partitions have moved" << std::endl;
  if (context.json()) PrintJson(AsJson(*plan, arguments));
  return ExitCode::kOk;
}

ExitCode Cancel(const Context& context, const RebalanceArguments& arguments) {
  AdminClient client(context);
  admin::CancelMovesRequest request;
  request.set_validate_only(arguments.validate_only);
  const auto response = client.Call(&Stub::CancelMoves, request);
  if (!response.ok()) return client.Report("no move was given up", response.status());
  int cancelled = 0;
  for (const admin::PartitionOutcome& outcome : response->partitions()) {
    if (outcome.error().empty()) {
      ++cancelled;
      continue;
    }
    PrintError(
        NameOf({outcome.topic(), outcome.partition()}) +
            (arguments.validate_only ? " would not give up its move" : " still moves as it did"),
        outcome.error(), "wait until its old replicas are in sync again");
  }
  if (arguments.validate_only) {
    std::cerr << "dry run: " << cancelled << " moves would be given up, nothing changed"
              << std::endl;
    if (context.json()) PrintJson({{"cancelled", 0}, {"would_be_cancelled", cancelled}});
    return cancelled == response->partitions_size() ? ExitCode::kOk : ExitCode::kFailed;
  }
  std::cerr << cancelled << " moves were given up; "
            << (cancelled > 0 ? "a run that asked for them stops"
                              : "a run that goes on is ended where it runs: what it has begun ends "
                                "by itself, or can be cancelled then")
            << std::endl;
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
  run->add_option("--controller-timeout-ms", arguments->controller_timeout_ms,
                  "give up when no active controller has answered for so long")
      ->check(CLI::Range(1, 3600000))
      ->capture_default_str();
  for (CLI::App* verb : {plan, run}) {
    CLI::Option* leaders_only =
        verb->add_flag("--leaders-only", arguments->leaders_only, "nothing is copied");
    verb->add_option("--throttle", arguments->throttle, kThrottleHelp)->excludes(leaders_only);
    verb->add_option("--max-copies", arguments->copies_max,
                     "replicas that are copied, at most; 0 = 1000")
        ->check(CLI::Range(0, 1000))
        ->excludes(leaders_only);
  }
  CLI::App* cancel = add("cancel", "Give up all moves under way, whoever asked for them", Cancel);
  for (CLI::App* verb : {run, cancel})
    verb->add_flag("--dry-run", arguments->validate_only, "check, change nothing");
}

}  // namespace sluice::cli
