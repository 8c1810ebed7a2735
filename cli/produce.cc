// `sluice produce`: records from the command line or stdin into a topic, each acknowledged by all
// in-sync replicas before the program ends.

#include <CLI/CLI.hpp>
#include <iostream>

#include "cli/kafka_client.h"

namespace sluice::cli {

namespace {

constexpr int64_t kRecordsPerPoll = 256;

struct ProduceOptions {
  std::string topic;
  std::string value = "-";
  std::string key;
  std::string key_delimiter;
  int32_t partition = RdKafka::Topic::PARTITION_UA;
  std::vector<std::string> extra;
};

// Counts the outcomes; prints each record's place when there is only one.
class DeliveryCounter : public RdKafka::DeliveryReportCb {
 public:
  void dr_cb(RdKafka::Message& message) override {
    if (message.err() != RdKafka::ERR_NO_ERROR) {
      ++failed;
      if (first_error.ok()) first_error = KafkaStatus(message.err(), "");
      return;
    }
    ++delivered;
    place = message.topic_name() + "-" + std::to_string(message.partition()) + "@" +
            std::to_string(message.offset());
  }
  int64_t delivered = 0;
  int64_t failed = 0;
  Status first_error;
  std::string place;  // of the last one
};

class ProduceRun {
 public:
  ProduceRun(const Context& context, const ProduceOptions& options)
      : context_(context), options_(options) {}

  ExitCode Run() {
    if (options_.value != "-" && !options_.key_delimiter.empty()) {
      PrintError("nothing was produced",
                 "--key-delimiter parts lines of stdin, and a value is given",
                 "give the key with --key, or leave the value out");
      return ExitCode::kUsage;
    }
    if (const Status status = Connect(); !status.ok()) {
      return ReportKafkaError(context_, "cannot produce to " + options_.topic, status);
    }
    if (options_.value != "-") {
      Send(options_.key.empty() ? nullptr : &options_.key, options_.value);
    } else {
      SendLines();
    }
    producer_->flush(static_cast<int>(context_.timeout_ms));
    return Report();
  }

 private:
  Status Connect() {
    SLUICE_ASSIGN_OR_RETURN(auto conf, KafkaConf(context_, options_.extra, log_));
    std::string error;
    conf->set("dr_cb", &counter_, error);
    conf->set("enable.idempotence", "true", error);
    conf->set("linger.ms", "5", error);
    conf->set("partitioner", "murmur2_random",
              error);  // the Java client's choice: one key, one partition, whatever the client
    conf->set("message.timeout.ms", std::to_string(context_.timeout_ms), error);
    producer_.reset(RdKafka::Producer::create(conf.get(), error));
    return producer_ ? Status::Ok() : Status::InvalidArgument(error);
  }

  void SendLines() {
    std::string line;
    while (std::getline(std::cin, line)) {
      const size_t split =
          options_.key_delimiter.empty() ? std::string::npos : line.find(options_.key_delimiter);
      if (split == std::string::npos) {
        Send(options_.key.empty() ? nullptr : &options_.key, line);
        continue;
      }
      const std::string key = line.substr(0, split);
      Send(&key, line.substr(split + options_.key_delimiter.size()));
    }
  }

  void Send(const std::string* key, const std::string& value) {
    while (true) {
      const RdKafka::ErrorCode code = producer_->produce(
          options_.topic, options_.partition, RdKafka::Producer::RK_MSG_COPY,
          const_cast<char*>(value.data()), value.size(), key == nullptr ? nullptr : key->data(),
          key == nullptr ? 0 : key->size(), 0, nullptr);
      const bool full = code == RdKafka::ERR__QUEUE_FULL;
      // Outcomes are collected now and then: each poll is a system call or more.
      if (full || ++sent_ % kRecordsPerPoll == 0) producer_->poll(full ? 100 : 0);
      if (full) continue;
      if (code != RdKafka::ERR_NO_ERROR) {
        ++counter_.failed;
        if (counter_.first_error.ok()) counter_.first_error = KafkaStatus(code, "");
      }
      return;
    }
  }

  ExitCode Report() {
    const int64_t lost = counter_.failed + producer_->outq_len();
    if (context_.json()) {
      PrintJson({{"topic", options_.topic}, {"delivered", counter_.delivered}, {"failed", lost}});
    } else if (options_.value != "-" && counter_.delivered == 1) {
      std::cout << counter_.place << std::endl;
    } else if (counter_.delivered > 0 || lost == 0) {
      std::cerr << counter_.delivered << " records delivered to " << options_.topic << std::endl;
    }
    if (lost == 0) return ExitCode::kOk;
    const Status status =
        counter_.first_error.ok()
            ? Status::Timeout("no answer within " + std::to_string(context_.timeout_ms) + " ms")
            : counter_.first_error;
    const ExitCode code = ReportKafkaError(
        context_, std::to_string(lost) + " records were not delivered to " + options_.topic,
        log_.Explained(status));
    return counter_.delivered > 0 ? ExitCode::kPartlyDone : code;
  }

  const Context& context_;
  const ProduceOptions& options_;
  ClientLog log_;
  DeliveryCounter counter_;
  std::unique_ptr<RdKafka::Producer> producer_;
  int64_t sent_ = 0;
};

}  // namespace

void AddProduceCommand(CLI::App& app, Context& context) {
  CLI::App* verb = app.add_subcommand("produce", "Write records to a topic");
  auto options = std::make_shared<ProduceOptions>();
  verb->add_option("topic", options->topic, "where to write")->required();
  verb->add_option("value", options->value,
                   "the value, or - for one record from each line of stdin")
      ->capture_default_str();
  verb->add_option("-k,--key", options->key, "key of every record");
  verb->add_option("-K,--key-delimiter", options->key_delimiter,
                   "stdin lines are KEY<delimiter>VALUE");
  verb->add_option("-p,--partition", options->partition,
                   "write to this partition; without it the key decides")
      ->check(CLI::Range(0, 1000000));
  verb->add_option("-X", options->extra, "setting of librdkafka, key=value");
  verb->footer(
      "Examples:\n  sluice produce orders \"hello\" -k customer-7\n  tail -f app.log | sluice "
      "produce logs");
  verb->callback([&context, options] {
    context.action = [&context, options] { return ProduceRun(context, *options).Run(); };
  });
}

}  // namespace sluice::cli
