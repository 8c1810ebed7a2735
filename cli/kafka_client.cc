#include "cli/kafka_client.h"

#include "base/utf8.h"

namespace sluice::cli {

Result<std::unique_ptr<RdKafka::Conf>> KafkaConf(const Context& context,
                                                 const std::vector<std::string>& extra,
                                                 ClientLog& log) {
  std::unique_ptr<RdKafka::Conf> conf(RdKafka::Conf::create(RdKafka::Conf::CONF_GLOBAL));
  std::vector<std::pair<std::string, std::string>> pairs = {
      {"bootstrap.servers", context.bootstrap}, {"client.id", "sluice-cli"}, {"log_level", "3"}};
  for (const std::string& text : extra) {
    const size_t equals = text.find('=');
    if (equals == std::string::npos)
      return Status::InvalidArgument("-X " + text + ": expected key=value");
    pairs.emplace_back(text.substr(0, equals), text.substr(equals + 1));
  }
  for (const auto& [key, value] : pairs) {
    std::string error;
    if (conf->set(key, value, error) != RdKafka::Conf::CONF_OK)
      return Status::InvalidArgument(error);
  }
  std::string error;
  if (conf->set("event_cb", &log, error) != RdKafka::Conf::CONF_OK) return Status::Internal(error);
  return conf;
}

void ClientLog::event_cb(RdKafka::Event& event) {
  if (event.type() != RdKafka::Event::EVENT_LOG) return;
  const std::string text = event.str();
  constexpr std::string_view kThreadNameEnd = "]: ";
  const size_t name_end = text.find(kThreadNameEnd);
  std::lock_guard lock(mutex_);
  last_error_ =
      name_end == std::string::npos ? text : text.substr(name_end + kThreadNameEnd.size());
}

Status ClientLog::Explained(const Status& status) const {
  std::lock_guard lock(mutex_);
  if (ExitCodeOf(status) != ExitCode::kUnreachable || last_error_.empty()) return status;
  return Status(status.code(), status.message() + " (" + last_error_ + ")");
}

Status KafkaStatus(RdKafka::ErrorCode code, const std::string& detail) {
  const std::string text = RdKafka::err2str(code) + (detail.empty() ? "" : ": " + detail);
  switch (code) {
    case RdKafka::ERR_NO_ERROR: return Status::Ok();
    case RdKafka::ERR_UNKNOWN_TOPIC_OR_PART:
    case RdKafka::ERR__UNKNOWN_TOPIC:
    case RdKafka::ERR__UNKNOWN_PARTITION: return Status::NotFound(text);
    case RdKafka::ERR__ALL_BROKERS_DOWN:
    case RdKafka::ERR__TRANSPORT:
    case RdKafka::ERR__TIMED_OUT:
    case RdKafka::ERR__MSG_TIMED_OUT: return Status::Unavailable(text);
    case RdKafka::ERR_MSG_SIZE_TOO_LARGE:
    case RdKafka::ERR_TOPIC_EXCEPTION:
    case RdKafka::ERR__INVALID_ARG: return Status::InvalidArgument(text);
    default: return Status::Internal(text);
  }
}

ExitCode ReportKafkaError(const Context& context, const std::string& what, const Status& status) {
  const ExitCode code = ExitCodeOf(status);
  std::string next = "sluice cluster health shows what is wrong with the cluster";
  if (code == ExitCode::kUnreachable) {
    next = "check that a node listens on " + context.bootstrap +
           " (sluice dev status), or name one with --bootstrap";
  } else if (code == ExitCode::kUsage) {
    next = "correct what is named above; --help shows what is expected";
  } else if (code == ExitCode::kNotFound) {
    next = "sluice topic list shows the topics, sluice topic describe their partitions";
  }
  PrintError(what, status, next);
  return code;
}

std::string PrintableText(std::string_view bytes) {
  if (IsUtf8(bytes)) return std::string(bytes);
  static constexpr char kAlphabet[] =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string text = "base64:";
  uint32_t bits = 0;
  int count = 0;
  for (const char c : bytes) {
    bits = (bits << 8) | static_cast<unsigned char>(c);
    for (count += 8; count >= 6; count -= 6) text += kAlphabet[(bits >> (count - 6)) & 63];
  }
  if (count > 0) text += kAlphabet[(bits << (6 - count)) & 63];
  return text;
}

}  // namespace sluice::cli
