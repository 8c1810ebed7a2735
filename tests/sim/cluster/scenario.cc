#include "tests/sim/cluster/scenario.h"

#include <algorithm>
#include <sstream>
#include <utility>

#include "storage/file_names.h"
#include "tests/sim/cluster/scenario_words.h"
#include "tests/sim/cluster/verdict.h"

namespace sluice::sim {
namespace {

constexpr int64_t kAwaitMs = 60'000;  // also where each request first meets a node that is down
constexpr int kClientsMax = 10;

std::vector<std::string> Split(std::string_view text) {
  std::vector<std::string> words;
  std::istringstream in{std::string(text)};
  for (std::string word; in >> word;) words.push_back(word);
  return words;
}

}  // namespace

const std::vector<Scenario::Sentence>& Scenario::Sentences() {
  static const auto* const sentences = new std::vector<Sentence>{
      {"all nodes start", &Scenario::AllStart},
      {"# nodes start", &Scenario::Begin},
      {"# nodes start with sessions of # ms", &Scenario::Begin},
      {"the topic has replicas #", &Scenario::MakeTopic},
      {"the topic has replicas # and durability #", &Scenario::MakeTopic},
      {"the topic is deleted", &Scenario::DeleteTopic},
      {"the topic is made again", &Scenario::MakeTopicAgain},
      {"a reader follows", &Scenario::Follow},
      {"a reader asks node # where the partition ends", &Scenario::AskEnd},
      {"# records are acknowledged", &Scenario::Acknowledged},
      {"# records are sent", &Scenario::Sent},
      {"# records are sent with acks=1", &Scenario::SentWithAcksOne},
      {"the records are acknowledged", &Scenario::SentAreAcknowledged},
      {"the records are acknowledged within # ms", &Scenario::SentAreAcknowledgedWithin},
      {"a record is sent ahead of its turn", &Scenario::SentAhead},
      {"it is refused as out of order", &Scenario::RefusedAsOutOfOrder},
      {"the readers have read # records", &Scenario::HaveRead},
      {"the readers are told of the loss", &Scenario::ToldOfLoss},
      {"node # is killed", &Scenario::Kill},
      {"node # loses power", &Scenario::LosePower},
      {"all nodes lose power", &Scenario::AllLosePower},
      {"node # starts", &Scenario::StartNode},
      {"node # begins to stop", &Scenario::StopCleanly},
      {"node # has stopped", &Scenario::Stopped},
      {"node # stands still", &Scenario::Pause},
      {"node # goes on", &Scenario::Resume},
      {"node # gets an empty disk", &Scenario::EmptyDisk},
      {"the disk of node # is copied", &Scenario::CopyDisk},
      {"node # gets the copy of its disk", &Scenario::RestoreDisk},
      {"the disk of node # is full", &Scenario::FillDisk},
      {"the disk of node # has room", &Scenario::MakeRoom},
      {"the leader epochs of node # are torn", &Scenario::TearEpochs},
      {"the next sync of node # fails", &Scenario::NextSyncFails},
      {"syncs of node # take up to # ms", &Scenario::SyncsTake},
      {"the disk of node # writes all the time", &Scenario::WritesOn},
      {"node # is cut off from node #", &Scenario::CutOff},
      {"node # cannot reach node #", &Scenario::CutOneWay},
      {"node # is cut off from the other nodes", &Scenario::CutFromOthers},
      {"answers of node # to clients wait", &Scenario::CutAnswersToClients},
      {"answers of node # to readers wait", &Scenario::CutAnswersToReaders},
      {"calls of node # to the controllers wait", &Scenario::CallsWait},
      {"calls of node # to the controllers arrive", &Scenario::CallsArrive},
      {"heartbeats of node # wait", &Scenario::HeartbeatsWait},
      {"heartbeats of node # arrive", &Scenario::HeartbeatsArrive},
      {"metadata for node # wait", &Scenario::MetadataWait},
      {"the network heals", &Scenario::Heal},
      {"# ms pass", &Scenario::Pass},
      {"node # is in service", &Scenario::InService},
      {"node # leads", &Scenario::Leads},
      {"nobody leads", &Scenario::NobodyLeads},
      {"node # does not lead for # ms", &Scenario::LeadsNotFor},
      {"the ISR is #", &Scenario::IsrIs},
      {"min.insync.replicas becomes #", &Scenario::SetMinIsr},
      {"the durability becomes #", &Scenario::SetDurability},
      {"node # has told of its flushes", &Scenario::ToldOfFlushes},
      {"the partition moves to #", &Scenario::Move},
      {"the move is cancelled", &Scenario::CancelMove},
      {"the move cannot be cancelled", &Scenario::CancelIsRefused},
      {"the move is done", &Scenario::MoveDone},
      {"the preferred leader is elected", &Scenario::ElectPreferred},
      {"a leader is elected uncleanly", &Scenario::ElectUncleanly},
      {"records expire after # ms", &Scenario::RecordsExpire},
      {"the first # records are gone", &Scenario::FirstAreGone},
      {"all is well in the end", &Scenario::End},
  };
  return *sentences;
}

std::optional<Scenario::Words> Scenario::Match(std::string_view pattern, const Words& words) {
  const Words wanted = Split(pattern);
  if (wanted.size() != words.size()) return std::nullopt;
  Words arguments;
  for (size_t i = 0; i < words.size(); ++i) {
    if (wanted[i] == "#")
      arguments.push_back(words[i]);
    else if (wanted[i] != words[i])
      return std::nullopt;
  }
  return arguments;
}

Result<Scenario> Scenario::Parse(std::string_view text) {
  constexpr std::string_view kFault = "fault: ";
  Scenario scenario;
  std::istringstream in{std::string(text)};
  size_t number = 0;
  for (std::string line; std::getline(in, line);) {
    ++number;
    const Words words = Split(line);
    if (words.empty() || words.front().starts_with('#')) continue;
    if (line.starts_with(kFault)) {
      scenario.fault_ = line.substr(kFault.size());
      continue;
    }
    std::optional<Line> found;
    for (const Sentence& sentence : Sentences()) {
      auto arguments = Match(sentence.pattern, words);
      // "the records are acknowledged" is not "# records are acknowledged".
      if (!arguments.has_value() || (found && found->arguments.size() <= arguments->size()))
        continue;
      found = {number, line, sentence.act, *std::move(arguments)};
    }
    if (!found)
      return Status::InvalidArgument("line " + std::to_string(number) + " says nothing: " + line);
    scenario.lines_.push_back(*std::move(found));
  }
  if (scenario.lines_.empty() || scenario.lines_.front().act != &Scenario::Begin ||
      scenario.lines_.back().act != &Scenario::End)
    return Status::InvalidArgument("a scenario begins with nodes and ends with a verdict");
  return scenario;
}

std::string Scenario::Run(uint64_t seed) {
  seed_ = seed;
  for (const Line& line : lines_) {
    std::string wrong = (this->*line.act)(line.arguments);
    if (wrong.empty()) wrong = cluster_->breach();
    if (!wrong.empty())
      return "line " + std::to_string(line.number) + " (" + line.text + "): " + wrong;
  }
  return "";
}

// ---- What is there

std::string Scenario::Begin(const Words& words) {
  producer_ = producer_of_acks_one_ = nullptr;
  HostOptions options{.nodes = static_cast<int>(Number(words[0])),
                      .settings = {"log.retention.check.interval.ms=500"}};
  if (words.size() > 1) options.settings.push_back("broker.session.timeout.ms=" + words[1]);
  cluster_ = std::make_unique<Cluster>(options, seed_);
  cluster_->StartAll();
  std::string wrong = Await([this] { return AllInService(); });
  // Node 1 is to lead partitions; were it the active controller, too, cutting it off would do more
  // than is told.
  const NodeId first(1);
  while (wrong.empty() && cluster_->process(first)->controller().active()) {
    cluster_->Kill(first);
    cluster_->RunForMs(1000);
    cluster_->Start(first);
    wrong = Await([this] { return AllInService(); });
  }
  return wrong;
}

bool Scenario::AllInService() const {
  const metadata::ImagePtr image = cluster_->ActiveImage();
  return image != nullptr && std::ranges::all_of(cluster_->ids(), [&](NodeId id) {
           const metadata::BrokerImage* broker = image->FindBroker(id);
           const int64_t epoch = cluster_->process(id)->broker_state().broker_epoch;
           return broker != nullptr && broker->active() && broker->epoch.value() == epoch;
         });
}

std::string Scenario::MakeTopic(const Words& words) {
  topic_ = {.name = kTopic, .configs = {{"min.insync.replicas", "2"}}};
  topic_.replicas = Nodes(words[0]);
  if (words.size() > 1) topic_.configs["durability"] = words[1];
  if (!cluster_->CreateTopicNow(topic_, kAwaitMs)) return "the topic cannot be made";
  ProducerOptions options{.places = {kPlace}, .pause_ms_max = 5, .records_max = 1};
  options.asked_for_each = true;
  producer_ = &cluster_->AddProducer(options);
  options.acks = 1;
  options.idempotent = false;
  producer_of_acks_one_ = &cluster_->AddProducer(options);
  cluster_->AddAdmin({});
  return "";
}

std::string Scenario::MakeTopicAgain(const Words&) {
  return cluster_->CreateTopicNow(topic_, kAwaitMs) ? "" : "the topic cannot be made";
}

// What it held is nobody's concern any more.
std::string Scenario::DeleteTopic(const Words&) {
  if (!producer_->idle()) return "there are records on their way";
  cluster_->log().history.operations.clear();
  return Insist([this] { admin().Delete(kTopic); }, [this] { return Partition() == nullptr; });
}

std::string Scenario::Follow(const Words&) {
  cluster_->AddConsumer(kPlace);
  return "";
}

// What it is told, if it is told anything, the verdict looks at.
std::string Scenario::AskEnd(const Words& words) {
  if (cluster_->consumers().empty()) return "there is no reader";
  cluster_->consumers().front()->AskEndOf(Node(words[0]));
  return "";
}

// ---- Records

std::string Scenario::Acknowledged(const Words& words) {
  const uint64_t wanted = cluster_->log().acknowledged + static_cast<uint64_t>(Number(words[0]));
  producer_->Allow(Number(words[0]));
  return Await([this, wanted] { return cluster_->log().acknowledged >= wanted; });
}

std::string Scenario::Sent(const Words& words) {
  producer_->Allow(Number(words[0]));
  return "";
}

std::string Scenario::SentWithAcksOne(const Words& words) {
  producer_of_acks_one_->Allow(Number(words[0]));
  return "";
}

std::string Scenario::SentAreAcknowledged(const Words&) {
  return Await([this] { return producer_->idle(); });
}

std::string Scenario::SentAreAcknowledgedWithin(const Words& words) {
  const bool acknowledged =
      cluster_->RunUntil([this] { return producer_->idle(); }, Number(words[0]));
  return acknowledged ? "" : "they are not" + cluster_->Describe();
}

std::string Scenario::SentAhead(const Words&) {
  if (!producer_->idle()) return "there are records on their way";
  producer_->SendAhead();
  return "";
}

std::string Scenario::RefusedAsOutOfOrder(const Words&) {
  return Await(
      [this] { return producer_->last_refusal() == kafka::ErrorCode::kOutOfOrderSequenceNumber; });
}

std::string Scenario::HaveRead(const Words& words) {
  return Await([this, count = Number(words[0])] {
    return std::ranges::all_of(cluster_->consumers(), [count](const auto& consumer) {
      return consumer->position() >= count;
    });
  });
}

std::string Scenario::ToldOfLoss(const Words&) {
  return Await([this] {
    return std::ranges::all_of(cluster_->consumers(),
                               [](const auto& consumer) { return consumer->told_of_loss(); });
  });
}

// ---- Nodes and disks

std::string Scenario::Kill(const Words& words) {
  if (!cluster_->running(Node(words[0]))) return "it does not run";
  cluster_->Kill(Node(words[0]));
  return "";
}

std::string Scenario::LosePower(const Words& words) {
  cluster_->PowerCut(Node(words[0]));
  return "";
}

std::string Scenario::AllLosePower(const Words&) {
  for (const NodeId id : cluster_->ids()) cluster_->PowerCut(id);
  return "";
}

std::string Scenario::StartNode(const Words& words) {
  if (cluster_->running(Node(words[0]))) return "it runs";
  cluster_->Start(Node(words[0]));
  return "";
}

std::string Scenario::AllStart(const Words&) {
  cluster_->StartAll();
  return "";
}

std::string Scenario::StopCleanly(const Words& words) {
  if (!cluster_->running(Node(words[0]))) return "it does not run";
  cluster_->StopCleanly(Node(words[0]));
  return "";
}

std::string Scenario::Stopped(const Words& words) {
  return Await([this, id = Node(words[0])] { return !cluster_->running(id); });
}

std::string Scenario::Pause(const Words& words) {
  if (!cluster_->running(Node(words[0]))) return "it does not run";
  cluster_->Pause(Node(words[0]));
  return "";
}

std::string Scenario::Resume(const Words& words) {
  if (!cluster_->running(Node(words[0]))) return "it does not run";
  cluster_->Resume(Node(words[0]));
  return "";
}

std::string Scenario::EmptyDisk(const Words& words) {
  if (cluster_->running(Node(words[0]))) return "it runs";
  cluster_->ReplaceDisk(Node(words[0]));
  return "";
}

std::string Scenario::CopyDisk(const Words& words) {
  if (cluster_->running(Node(words[0]))) return "it runs";
  cluster_->host(Node(words[0])).CopyLogs();
  return "";
}

std::string Scenario::RestoreDisk(const Words& words) {
  Host& host = cluster_->host(Node(words[0]));
  if (cluster_->running(host.id) || host.copied_logs.empty()) return "it runs, or has no copy";
  host.RestoreLogs();
  return "";
}

std::string Scenario::FillDisk(const Words& words) {
  cluster_->host(Node(words[0])).FillDisk(0);
  return "";
}

std::string Scenario::MakeRoom(const Words& words) {
  cluster_->host(Node(words[0])).MakeRoom();
  return "";
}

std::string Scenario::TearEpochs(const Words& words) {
  if (cluster_->running(Node(words[0]))) return "it runs";
  Host& host = cluster_->host(Node(words[0]));
  const std::string path =
      host.config.log_directory + "/" + kTopic + "-0/" + storage::kEpochCheckpointName;
  return host.TearFile(path) ? "" : "it has none";
}

std::string Scenario::NextSyncFails(const Words& words) {
  Host& host = cluster_->host(Node(words[0]));
  host.disk.InjectFault({.operation = testing::FileOperation::kSync,
                         .path_part = host.config.log_directory + "/",
                         .status = Status::IoError("EIO")});
  return "";
}

std::string Scenario::SyncsTake(const Words& words) {
  cluster_->host(Node(words[0])).sync_ms_max = Number(words[1]);
  return "";
}

std::string Scenario::WritesOn(const Words& words) {
  cluster_->host(Node(words[0])).writes_on = true;
  return "";
}

// ---- The network

std::string Scenario::CutOff(const Words& words) {
  cluster_->world().network().Cut(Node(words[0]), Node(words[1]));
  cluster_->world().network().Cut(Node(words[1]), Node(words[0]));
  return "";
}

std::string Scenario::CutOneWay(const Words& words) {
  cluster_->world().network().Cut(Node(words[0]), Node(words[1]));
  return "";
}

std::string Scenario::CutFromOthers(const Words& words) {
  cluster_->Isolate(Node(words[0]));
  return "";
}

std::string Scenario::CutAnswersToClients(const Words& words) {
  for (int i = 0; i < kClientsMax; ++i)
    cluster_->world().network().Cut(Node(words[0]), NodeId(kFirstClientHost + i));
  return "";
}

// MakeTopic has made the other clients before.
std::string Scenario::CutAnswersToReaders(const Words& words) {
  constexpr int kOtherClients = 3;
  for (int i = kOtherClients; i < kClientsMax; ++i)
    cluster_->world().network().Cut(Node(words[0]), NodeId(kFirstClientHost + i));
  return "";
}

void Scenario::CutLaneOf(NodeId node, Lane lane, bool to_others) {
  for (const NodeId other : cluster_->ids()) {
    cluster_->world().network().CutLane(to_others ? node : other, to_others ? other : node, lane);
  }
}

std::string Scenario::CallsWait(const Words& words) {
  CutLaneOf(Node(words[0]), kControllerLane, true);
  return "";
}

void Scenario::HealLaneOf(NodeId node, Lane lane) {
  for (const NodeId other : cluster_->ids())
    cluster_->world().network().HealLane(node, other, lane);
}

std::string Scenario::CallsArrive(const Words& words) {
  HealLaneOf(Node(words[0]), kControllerLane);
  return "";
}

std::string Scenario::HeartbeatsArrive(const Words& words) {
  HealLaneOf(Node(words[0]), kHeartbeatLane);
  return "";
}

std::string Scenario::HeartbeatsWait(const Words& words) {
  CutLaneOf(Node(words[0]), kHeartbeatLane, true);
  return "";
}

std::string Scenario::MetadataWait(const Words& words) {
  CutLaneOf(Node(words[0]), kFeedLane, false);
  return "";
}

std::string Scenario::Heal(const Words&) {
  cluster_->Heal();
  return "";
}

// ---- How it is

std::string Scenario::Await(const std::function<bool()>& done) {
  if (cluster_->RunUntil(done, kAwaitMs)) return "";
  return cluster_->breach().empty() ? "it does not come true" + cluster_->Describe()
                                    : cluster_->breach();
}

std::string Scenario::Insist(const std::function<void()>& ask, const std::function<bool()>& done) {
  constexpr int64_t kPatienceMs = 1000;
  for (int64_t waited_ms = 0; waited_ms < kAwaitMs; waited_ms += kPatienceMs) {
    ask();
    if (cluster_->RunUntil(done, kPatienceMs) || !cluster_->breach().empty()) return "";
  }
  return "it does not come true" + cluster_->Describe();
}

const metadata::PartitionImage* Scenario::Partition() const {
  const auto topic = cluster_->NewestImage()->FindTopic(kTopic);
  return topic == nullptr ? nullptr : &topic->partitions.front();
}

std::string Scenario::Pass(const Words& words) {
  cluster_->RunForMs(Number(words[0]));
  return "";
}

std::string Scenario::InService(const Words& words) {
  return Await([this, id = Node(words[0])] {
    const metadata::BrokerImage* broker = cluster_->NewestImage()->FindBroker(id);
    const auto process = cluster_->process(id);
    return broker != nullptr && process != nullptr && broker->active() &&
           process->broker_state().broker_epoch == broker->epoch.value();
  });
}

std::string Scenario::Leads(const Words& words) {
  return Await(
      [this, id = Node(words[0])] { return Partition() != nullptr && Partition()->leader == id; });
}

std::string Scenario::NobodyLeads(const Words&) {
  return Await([this] { return Partition()->leader == kNoNode; });
}

std::string Scenario::LeadsNotFor(const Words& words) {
  const bool led = cluster_->RunUntil(
      [this, id = Node(words[0])] { return Partition()->leader == id; }, Number(words[1]));
  return led ? "it does" : "";
}

std::string Scenario::IsrIs(const Words& words) {
  std::vector<NodeId> wanted = Nodes(words[0]);
  std::ranges::sort(wanted);
  return Await([this, wanted] {
    std::vector<NodeId> isr = Partition()->isr;
    std::ranges::sort(isr);
    return isr == wanted;
  });
}

std::string Scenario::ToldOfFlushes(const Words& words) {
  return Await([this, id = Node(words[0])] {
    const metadata::ImagePtr& image = cluster_->NewestImage();
    const metadata::BrokerImage* broker = image->FindBroker(id);
    return broker != nullptr && broker->synced_index >= image->fsync_since->latest;
  });
}

std::string Scenario::End(const Words&) {
  cluster_->Heal();
  for (const NodeId id : cluster_->ids()) {
    if (cluster_->paused(id)) cluster_->Resume(id);
  }
  return Verdict(*cluster_, {kTopic}, false).Reach([] { return true; });
}

}  // namespace sluice::sim
