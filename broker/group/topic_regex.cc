#include "broker/group/topic_regex.h"

#include <re2/re2.h>

namespace sluice::broker {
namespace {

// An expression needs little: this bounds what a hostile one takes.
constexpr int64_t kCompiledBytesMax = 1 << 20;

re2::RE2::Options Options() {
  re2::RE2::Options options;
  options.set_log_errors(false);
  options.set_never_capture(true);
  options.set_max_mem(kCompiledBytesMax);
  return options;
}

}  // namespace

std::optional<std::string> TopicRegexProblem(const std::string& regex) {
  const re2::RE2 compiled(regex, Options());
  if (compiled.ok()) return std::nullopt;
  return compiled.error();
}

std::vector<std::string> TopicsMatching(const std::string& regex, const metadata::Image& image) {
  std::vector<std::string> names;
  const re2::RE2 compiled(regex, Options());
  if (!compiled.ok()) return names;
  for (const auto& [name, topic] : *image.topics_by_name) {
    if (re2::RE2::FullMatch(name, compiled)) names.push_back(name);
  }
  return names;
}

}  // namespace sluice::broker
