#pragma once
// The regular expressions that consumers subscribe with (RE2's language, as in Kafka): a topic
// belongs to one that matches its whole name.
//
// Thread rule: pure.

#include <optional>
#include <string>
#include <vector>

#include "metadata/image.h"

namespace sluice::broker {

// Why it is none; nullopt when it is one.
std::optional<std::string> TopicRegexProblem(const std::string& regex);
// In order. None for a regex that is none.
std::vector<std::string> TopicsMatching(const std::string& regex, const metadata::Image& image);

}  // namespace sluice::broker
