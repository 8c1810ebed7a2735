// create and delete: the same caller for every server, so that no tool's own start is measured.

#include <thread>

#include "bench/client/client.h"

namespace sluice::bench {
namespace {

constexpr int kAnswerMsMax = 120000;
constexpr double kLedSecondsMax = 300;

Handle NewAdmin(const Arguments& arguments) {
  return NewHandle(RD_KAFKA_PRODUCER,
                   NewConf({{"bootstrap.servers", arguments.Text("bootstrap")},
                            {"socket.timeout.ms", std::to_string(kAnswerMsMax)}}));
}

struct EventDeleter {
  void operator()(rd_kafka_event_t* event) const { rd_kafka_event_destroy(event); }
};
using Event = std::unique_ptr<rd_kafka_event_t, EventDeleter>;

Event Answer(const Queue& queue) {
  Event event(rd_kafka_queue_poll(queue.get(), kAnswerMsMax));
  Require(event != nullptr, "no answer to an admin request");
  Require(rd_kafka_event_error(event.get()) == RD_KAFKA_RESP_ERR_NO_ERROR,
          rd_kafka_event_error_string(event.get()));
  return event;
}

void RequireFine(const rd_kafka_topic_result_t& result) {
  Require(rd_kafka_topic_result_error(&result) == RD_KAFKA_RESP_ERR_NO_ERROR,
          std::string(rd_kafka_topic_result_name(&result)) + ": " +
              rd_kafka_err2str(rd_kafka_topic_result_error(&result)));
}

bool AllLed(const Handle& handle, const Topic& topic, int32_t partitions, int32_t replicas) {
  const rd_kafka_metadata_t* metadata = nullptr;
  if (rd_kafka_metadata(handle.get(), 0, topic.get(), &metadata, 5000) !=
      RD_KAFKA_RESP_ERR_NO_ERROR) {
    return false;
  }
  bool led = metadata->topic_cnt == 1 && metadata->topics[0].partition_cnt == partitions;
  for (int i = 0; led && i < partitions; ++i) {
    const rd_kafka_metadata_partition& partition = metadata->topics[0].partitions[i];
    led = partition.leader >= 0 && partition.isr_cnt == replicas;
  }
  rd_kafka_metadata_destroy(metadata);
  return led;
}

void AskToCreate(const Handle& admin, const Arguments& arguments, const Queue& queue) {
  char error[512];
  rd_kafka_NewTopic_t* topic = rd_kafka_NewTopic_new(
      arguments.Text("topic").c_str(), static_cast<int>(arguments.Number("partitions", 1)),
      static_cast<int>(arguments.Number("replicas", 1)), error, sizeof error);
  Require(topic != nullptr, error);
  for (const auto& [key, value] : arguments.WithPrefix("config."))
    rd_kafka_NewTopic_set_config(topic, key.c_str(), value.c_str());
  arguments.RequireAllUsed();
  rd_kafka_AdminOptions_t* options =
      rd_kafka_AdminOptions_new(admin.get(), RD_KAFKA_ADMIN_OP_CREATETOPICS);
  rd_kafka_AdminOptions_set_request_timeout(options, kAnswerMsMax, error, sizeof error);
  rd_kafka_AdminOptions_set_operation_timeout(options, kAnswerMsMax, error, sizeof error);
  rd_kafka_CreateTopics(admin.get(), &topic, 1, options, queue.get());
  rd_kafka_AdminOptions_destroy(options);
  rd_kafka_NewTopic_destroy(topic);
}

}  // namespace

int RunCreate(const Arguments& arguments) {
  const Handle admin = NewAdmin(arguments);
  const auto partitions = static_cast<int32_t>(arguments.Number("partitions", 1));
  const auto replicas = static_cast<int32_t>(arguments.Number("replicas", 1));
  const bool wait = arguments.Number("wait", 1) != 0;
  const Queue queue(rd_kafka_queue_new(admin.get()));
  const Clock::time_point start = Clock::now();
  AskToCreate(admin, arguments, queue);
  const Event event = Answer(queue);
  size_t count = 0;
  const rd_kafka_topic_result_t** results =
      rd_kafka_CreateTopics_result_topics(rd_kafka_event_CreateTopics_result(event.get()), &count);
  for (size_t i = 0; i < count; ++i) RequireFine(*results[i]);
  const double answered = SecondsSince(start);
  const Topic topic = NewTopic(admin, arguments.Text("topic"));
  while (wait && !AllLed(admin, topic, partitions, replicas)) {
    Require(SecondsSince(start) < kLedSecondsMax, "the topic's partitions are not all in sync");
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  PrintFigures({{"answered_seconds", answered}, {"seconds", SecondsSince(start)}});
  return 0;
}

int RunDelete(const Arguments& arguments) {
  const Handle admin = NewAdmin(arguments);
  const Queue queue(rd_kafka_queue_new(admin.get()));
  rd_kafka_DeleteTopic_t* topic = rd_kafka_DeleteTopic_new(arguments.Text("topic").c_str());
  arguments.RequireAllUsed();
  const Clock::time_point start = Clock::now();
  rd_kafka_DeleteTopics(admin.get(), &topic, 1, nullptr, queue.get());
  rd_kafka_DeleteTopic_destroy(topic);
  const Event event = Answer(queue);
  size_t count = 0;
  const rd_kafka_topic_result_t** results =
      rd_kafka_DeleteTopics_result_topics(rd_kafka_event_DeleteTopics_result(event.get()), &count);
  for (size_t i = 0; i < count; ++i) RequireFine(*results[i]);
  PrintFigures({{"seconds", SecondsSince(start)}});
  return 0;
}

}  // namespace sluice::bench
