// `sluice consume`: records of a topic to stdout, read partition by partition without a group, or
// as a member of one.

#include <CLI/CLI.hpp>
#include <charconv>
#include <csignal>
#include <ctime>
#include <iostream>
#include <set>

#include "base/clock.h"
#include "cli/kafka_client.h"
#include "kafka/string_limit.h"

namespace sluice::cli {

namespace {

constexpr int kPollMs = 200;
constexpr size_t kTopicBytesMax = 249;  // as in every Kafka

// The signal that ended a member: it leaves its group first, which would wait for it otherwise.
volatile std::sig_atomic_t ended_by = 0;

void LeaveOn(int signal_number) {
  std::signal(signal_number, [](int which) { ended_by = which; });
}

struct ConsumeOptions {
  std::string topic;
  std::string from = "end";
  int64_t count = -1;
  bool until_end = false;
  std::string key_delimiter;
  int32_t partition = -1;
  std::string group;
  bool in_group = false;
  std::vector<std::string> extra;
};

// Where --from begins.
struct StartPoint {
  enum class Kind { kEdge, kOffset, kTime };
  Kind kind = Kind::kEdge;
  int64_t number = RdKafka::Topic::OFFSET_END;  // an offset, or ms since 1970
};

Result<StartPoint> ParseFrom(const std::string& from) {
  using Kind = StartPoint::Kind;
  if (from == "end") return StartPoint{};
  if (from == "start") return StartPoint{Kind::kEdge, RdKafka::Topic::OFFSET_BEGINNING};
  const bool is_time = from.starts_with("@");
  StartPoint point{is_time ? Kind::kTime : Kind::kOffset, -1};
  const char* const begin = from.data() + (is_time ? 1 : 0);
  const char* const end = from.data() + from.size();
  const auto [stop, error] = std::from_chars(begin, end, point.number);
  // Negative ones mean something else to the protocol.
  if (error == std::errc() && stop == end && point.number >= 0) {
    if (is_time) SLUICE_RETURN_IF_ERROR(CheckMilliseconds("--from " + from, point.number));
    return point;
  }
  return Status::InvalidArgument(
      "--from " + from +
      ": expected start, end, an offset of 0 or more, or @ with a time in ms since 1970, 0 or "
      "more");
}

std::string Iso8601(int64_t timestamp_ms) {
  const std::time_t seconds = timestamp_ms / 1000;
  std::tm parts{};
  gmtime_r(&seconds, &parts);
  char text[40];
  const size_t size = std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &parts);
  snprintf(text + size, sizeof text - size, ".%03dZ", static_cast<int>(timestamp_ms % 1000));
  return text;
}

nlohmann::json HeadersAsJson(RdKafka::Message& message) {
  nlohmann::json headers = nlohmann::json::array();
  if (message.headers() == nullptr) return headers;
  for (const RdKafka::Headers::Header& header : message.headers()->get_all()) {
    const std::string_view value(static_cast<const char*>(header.value()), header.value_size());
    headers.push_back({{"key", PrintableText(header.key())}, {"value", PrintableText(value)}});
  }
  return headers;
}

class ConsumeRun {
 public:
  ConsumeRun(const Context& context, const ConsumeOptions& options)
      : context_(context), options_(options) {}

  ExitCode Run() {
    Status status = CheckNames();
    if (status.ok()) status = Connect();
    if (status.ok()) status = options_.in_group ? Join() : Assign();
    if (status.ok()) status = ReadAll();
    std::cout << std::flush;
    if (consumer_) consumer_->close();
    if (ended_by != 0) {
      std::signal(ended_by, SIG_DFL);
      std::raise(ended_by);
    }
    if (status.ok()) return ExitCode::kOk;
    return ReportKafkaError(context_, "cannot consume " + options_.topic, log_.Explained(status));
  }

 private:
  // The library would ask the brokers again and again, which refuse such requests unread.
  Status CheckNames() const {
    const std::string what = "cannot consume " + options_.topic;
    if (options_.topic.size() > kTopicBytesMax) {
      return Status::InvalidArgument(
          what + "\nthe topic's name has " + std::to_string(options_.topic.size()) +
          " bytes, and one has at most " + std::to_string(kTopicBytesMax) +
          "\nsluice topic list shows the topics");
    }
    if (!options_.in_group) return Status::Ok();
    const std::string as_member = what + " as a member of a group\n";
    if (options_.group.empty()) {
      return Status::InvalidArgument(as_member +
                                     "the name behind -g is empty\n"
                                     "name the group, or leave out -g to read without one");
    }
    if (options_.group.size() <= kafka::kStringBytesMax) return Status::Ok();
    return Status::InvalidArgument(as_member + "the group's name is too long: it has " +
                                   std::to_string(options_.group.size()) +
                                   " bytes, and Kafka's formats hold at most " +
                                   std::to_string(kafka::kStringBytesMax) + "\ngive a shorter one");
  }

  Status Connect() {
    SLUICE_ASSIGN_OR_RETURN(auto conf, KafkaConf(context_, options_.extra, log_));
    std::string error;
    const bool in_group = options_.in_group;
    // librdkafka wants one; nothing is committed and no group is joined.
    conf->set("group.id", in_group ? options_.group : "sluice-cli-unused", error);
    conf->set("enable.auto.commit", in_group ? "true" : "false", error);
    conf->set("enable.partition.eof", "true", error);
    conf->set("allow.auto.create.topics", "false", error);
    const char* const reset = options_.from == "start" ? "earliest" : "latest";
    conf->set("auto.offset.reset", in_group ? reset : "error", error);
    conf->set("check.crcs", "true", error);  // damage must not pass for values
    consumer_.reset(RdKafka::KafkaConsumer::create(conf.get(), error));
    return consumer_ ? Status::Ok() : Status::InvalidArgument(error);
  }

  // The topic's partitions; fails when there is no such topic.
  Result<std::unique_ptr<RdKafka::Metadata>> Find() {
    std::string error;
    std::unique_ptr<RdKafka::Topic> topic(
        RdKafka::Topic::create(consumer_.get(), options_.topic, nullptr, error));
    RdKafka::Metadata* raw = nullptr;
    SLUICE_RETURN_IF_ERROR(KafkaStatus(
        consumer_->metadata(false, topic.get(), &raw, static_cast<int>(context_.timeout_ms)), ""));
    std::unique_ptr<RdKafka::Metadata> metadata(raw);
    SLUICE_RETURN_IF_ERROR(
        KafkaStatus(metadata->topics()->front()->err(), "topic " + options_.topic));
    return metadata;
  }

  // The group's other members have some of the partitions, and it remembers where it is.
  Status Join() {
    if (options_.partition >= 0 || (options_.from != "start" && options_.from != "end")) {
      return Status::InvalidArgument(
          "cannot consume " + options_.topic +
          " as a member of a group\na group shares all partitions among its members, and begins "
          "where it has committed\nleave out -p, and give --from start or end, for what the group "
          "has not read yet; sluice group offsets reset moves a group");
    }
    SLUICE_RETURN_IF_ERROR(Find().status());
    for (const int ends : {SIGINT, SIGTERM}) LeaveOn(ends);
    return KafkaStatus(consumer_->subscribe({options_.topic}), "");
  }

  Status Assign() {
    SLUICE_ASSIGN_OR_RETURN(const std::unique_ptr<RdKafka::Metadata> metadata, Find());
    const RdKafka::TopicMetadata& found = *metadata->topics()->front();
    for (const RdKafka::PartitionMetadata* partition : *found.partitions()) {
      if (options_.partition >= 0 && partition->id() != options_.partition) continue;
      partitions_.emplace_back(RdKafka::TopicPartition::create(options_.topic, partition->id()));
    }
    if (partitions_.empty())
      return Status::NotFound("topic " + options_.topic + " has no partition " +
                              std::to_string(options_.partition));
    SLUICE_RETURN_IF_ERROR(SetOffsets());
    return KafkaStatus(consumer_->assign(Pointers()), "");
  }

  Status SetOffsets() {
    SLUICE_ASSIGN_OR_RETURN(const StartPoint start, ParseFrom(options_.from));
    for (const auto& partition : partitions_) partition->set_offset(start.number);
    if (start.kind == StartPoint::Kind::kOffset) return CheckOffset(start.number);
    if (start.kind != StartPoint::Kind::kTime) return Status::Ok();
    std::vector<RdKafka::TopicPartition*> pointers = Pointers();
    return KafkaStatus(consumer_->offsetsForTimes(pointers, static_cast<int>(context_.timeout_ms)),
                       "");
  }

  // Every partition must have it: none is left out without a word.
  Status CheckOffset(int64_t offset) {
    for (const auto& partition : partitions_) {
      int64_t low = 0, high = 0;
      SLUICE_RETURN_IF_ERROR(KafkaStatus(
          consumer_->query_watermark_offsets(options_.topic, partition->partition(), &low, &high,
                                             static_cast<int>(context_.timeout_ms)),
          ""));
      if (offset >= low && offset <= high) continue;
      const std::string name = options_.topic + "-" + std::to_string(partition->partition());
      return Status::InvalidArgument("cannot consume " + options_.topic + "\n--from " +
                                     options_.from + " is out of range: " + name +
                                     " can be read from " + std::to_string(low) + " to " +
                                     std::to_string(high) + ", where its next record will be\n" +
                                     "give an offset in that range, start or end" +
                                     (partitions_.size() > 1 ? ", or one partition with -p" : ""));
    }
    return Status::Ok();
  }

  std::vector<RdKafka::TopicPartition*> Pointers() const {
    std::vector<RdKafka::TopicPartition*> pointers;
    for (const auto& partition : partitions_) pointers.push_back(partition.get());
    return pointers;
  }

  Status ReadAll() {
    std::set<int32_t> at_end;
    int64_t printed = 0;
    const SystemClock clock;
    int64_t heard_ms = clock.SteadyMs();
    while (ended_by == 0 && (options_.count < 0 || printed < options_.count)) {
      std::unique_ptr<RdKafka::Message> message(consumer_->consume(kPollMs));
      const bool silent = message->err() == RdKafka::ERR__TIMED_OUT ||
                          message->err() == RdKafka::ERR__TRANSPORT ||
                          message->err() == RdKafka::ERR__ALL_BROKERS_DOWN;
      if (!silent) heard_ms = clock.SteadyMs();
      if (options_.until_end && clock.SteadyMs() - heard_ms >= context_.timeout_ms) {
        return Status::Unavailable("the end of some partitions was not reached: nothing came for " +
                                   std::to_string(context_.timeout_ms) + " ms");
      }
      if (silent) continue;  // it reconnects
      if (message->err() == RdKafka::ERR__PARTITION_EOF) {
        at_end.insert(message->partition());
        if (options_.until_end && AreAllAtEnd(at_end)) return Status::Ok();
        std::cout << std::flush;
        continue;
      }
      if (message->err() == RdKafka::ERR_INVALID_SESSION_TIMEOUT) return RefusedSession();
      SLUICE_RETURN_IF_ERROR(KafkaStatus(message->err(), message->errstr()));
      at_end.erase(message->partition());
      Print(*message);
      ++printed;
    }
    return Status::Ok();
  }

  Status RefusedSession() const {
    std::string given = "session.timeout.ms";
    for (const std::string& setting : options_.extra) {
      if (setting.starts_with(given + "=")) given = setting;
    }
    return Status::InvalidArgument(
        "cannot consume " + options_.topic + " as a member of a group\nthe brokers do not take " +
        given +
        ": it is not within their group.min.session.timeout.ms and group.max.session.timeout.ms, "
        "6000 and 1800000 where nobody has set them\n"
        "give another with -X session.timeout.ms=..., or leave it out");
  }

  // All that this consumer has now; a group may give it more, or take some away.
  bool AreAllAtEnd(const std::set<int32_t>& at_end) const {
    std::vector<RdKafka::TopicPartition*> assigned;
    if (consumer_->assignment(assigned) != RdKafka::ERR_NO_ERROR || assigned.empty()) return false;
    bool all = true;
    for (const RdKafka::TopicPartition* partition : assigned)
      all = all && at_end.count(partition->partition()) != 0;
    RdKafka::TopicPartition::destroy(assigned);
    return all;
  }

  void Print(RdKafka::Message& message) const {
    const std::string_view value(static_cast<const char*>(message.payload()), message.len());
    const std::string* key = message.key();
    if (!context_.json()) {
      if (!options_.key_delimiter.empty())
        std::cout << (key == nullptr ? "" : *key) << options_.key_delimiter;
      std::cout << value << "\n";
      return;
    }
    nlohmann::ordered_json line = {{"topic", message.topic_name()},
                                   {"partition", message.partition()},
                                   {"offset", message.offset()},
                                   {"timestamp", Iso8601(message.timestamp().timestamp)},
                                   {"key", nullptr},
                                   {"value", nullptr},
                                   {"headers", HeadersAsJson(message)}};
    if (key != nullptr) line["key"] = PrintableText(*key);
    if (message.payload() != nullptr) line["value"] = PrintableText(value);
    std::cout << line.dump() << "\n";
  }

  const Context& context_;
  const ConsumeOptions& options_;
  ClientLog log_;
  std::unique_ptr<RdKafka::KafkaConsumer> consumer_;
  std::vector<std::unique_ptr<RdKafka::TopicPartition>> partitions_;
};

}  // namespace

void AddConsumeCommand(CLI::App& app, Context& context) {
  CLI::App* verb = app.add_subcommand("consume", "Read records of a topic");
  auto options = std::make_shared<ConsumeOptions>();
  verb->add_option("topic", options->topic, "what to read")->required();
  verb->add_option("--from", options->from,
                   "start, end, an offset, or @ with a time in ms since 1970")
      ->capture_default_str();
  verb->add_option("-n,--count", options->count, "stop after so many records")
      ->check(CLI::Range(int64_t{0}, int64_t{1} << 62));
  verb->add_flag("-e,--until-end", options->until_end, "stop at the end of every partition");
  verb->add_option("-K,--key-delimiter", options->key_delimiter, "print KEY<delimiter>VALUE");
  verb->add_option("-p,--partition", options->partition, "only this partition")
      ->check(CLI::Range(0, 1000000));
  const CLI::Option* group = verb->add_option(
      "-g,--group", options->group, "as a member of this group, from where it has committed");
  verb->add_option("-X", options->extra, "setting of librdkafka, key=value");
  verb->footer(
      "Examples:\n  sluice consume orders --from start -n 10\n  sluice consume orders --from start "
      "--until-end -o json");
  verb->callback([&context, options, group] {
    options->in_group = group->count() > 0;
    context.action = [&context, options] { return ConsumeRun(context, *options).Run(); };
  });
}

}  // namespace sluice::cli
