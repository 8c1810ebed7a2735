#pragma once
// LogCatcher: collects what is logged during its life, for tests of what users are told.
//
// Thread rule: one test at a time; glog calls it under a lock of its own.

#include <glog/logging.h>

#include <string>
#include <string_view>
#include <utility>

namespace sluice::testing {

class LogCatcher final : public google::LogSink {
 public:
  // Whatever was silenced, by an earlier test too.
  LogCatcher() : silenced_below_(std::exchange(FLAGS_minloglevel, google::GLOG_INFO)) {
    google::AddLogSink(this);
  }
  ~LogCatcher() override {
    google::RemoveLogSink(this);
    FLAGS_minloglevel = silenced_below_;
  }
  void send(google::LogSeverity, const char*, const char*, int, const google::LogMessageTime&,
            const char* message, size_t size) override {
    text_.append(message, size).append("\n");
  }
  bool Saw(std::string_view part) const { return Count(part) > 0; }
  int Count(std::string_view part) const {
    int count = 0;
    for (size_t at = text_.find(part); at != std::string::npos; at = text_.find(part, at + 1))
      ++count;
    return count;
  }

 private:
  const int silenced_below_;
  std::string text_;
};

}  // namespace sluice::testing
