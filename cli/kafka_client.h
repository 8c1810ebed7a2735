#pragma once
// What produce and consume share: a librdkafka configuration from the global flags, and its errors
// as Status.
//
// Thread rule: the main thread.

#include <librdkafka/rdkafkacpp.h>

#include <memory>
#include <mutex>
#include <string>

#include "base/status.h"
#include "cli/context.h"

namespace sluice::cli {

// Takes what librdkafka would print by itself; its last complaint explains an error that says only
// "timed out". Outlives the client; librdkafka calls it from threads of its own.
class ClientLog : public RdKafka::EventCb {
 public:
  void event_cb(RdKafka::Event& event) override;
  // `status` with the last complaint, if there is one.
  Status Explained(const Status& status) const;

 private:
  mutable std::mutex mutex_;
  std::string last_error_;  // guarded by mutex_
};

// Settings every client of ours has; `extra` are "key=value" pairs of -X.
Result<std::unique_ptr<RdKafka::Conf>> KafkaConf(const Context& context,
                                                 const std::vector<std::string>& extra,
                                                 ClientLog& log);
Status KafkaStatus(RdKafka::ErrorCode code, const std::string& detail);
// The exit code for a client error, after its three lines were printed.
ExitCode ReportKafkaError(const Context& context, const std::string& what, const Status& status);
// Base64 when the bytes are no UTF-8, for JSON output.
std::string PrintableText(std::string_view bytes);

}  // namespace sluice::cli
