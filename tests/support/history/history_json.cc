#include "tests/support/history/history_json.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <sstream>

namespace sluice::history {
namespace {

using nlohmann::json;

// nlohmann::json reports what is missing or of another kind by exceptions; they end in ParseLine.
Outcome OutcomeOf(const json& line) {
  const std::string text = line.at("outcome");
  if (text == "ok") return Outcome::kOk;
  if (text == "failed") return Outcome::kFailed;
  if (text == "unknown") return Outcome::kUnknown;
  throw std::invalid_argument("the outcome is " + text + ", not ok, failed or unknown");
}

std::optional<Offset> OffsetIn(const json& what) {
  if (!what.contains("offset")) return std::nullopt;
  return Offset(what.at("offset").get<int64_t>());
}

Poll PollOf(const json& what) {
  Poll poll{.from = Offset(what.at("from").get<int64_t>()),
            .to = Offset(what.at("to").get<int64_t>()),
            .sought = what.value("sought", false),
            .records = {}};
  for (const json& record : what.at("records"))
    poll.records.push_back({Offset(record.at(0).get<int64_t>()), record.at(1).get<Value>()});
  return poll;
}

Operation OperationOf(const json& line) {
  Operation operation;
  operation.client = line.at("client");
  operation.begin_us = line.at("begin_us");
  operation.outcome = OutcomeOf(line);
  if (operation.outcome != Outcome::kUnknown || line.contains("end_us"))
    operation.end_us = line.at("end_us");
  if (operation.outcome != Outcome::kUnknown && operation.end_us < operation.begin_us)
    throw std::invalid_argument("it ends before it begins");
  operation.place = {line.at("topic"), PartitionIndex(line.at("partition").get<int32_t>())};
  if (line.contains("send")) {
    const json& send = line.at("send");
    operation.what = Send{send.at("value"), OffsetIn(send)};
  } else if (line.contains("poll")) {
    operation.what = PollOf(line.at("poll"));
  } else if (line.contains("commit")) {
    const json& commit = line.at("commit");
    operation.what = Commit{commit.at("group"), Offset(commit.at("offset").get<int64_t>())};
  } else if (line.contains("fetch")) {
    const json& fetch = line.at("fetch");
    operation.what = FetchCommitted{fetch.at("group"), OffsetIn(fetch)};
  } else if (line.contains("end")) {
    operation.what = AskEnd{Offset(line.at("end").at("end").get<int64_t>())};
  } else {
    throw std::invalid_argument("it has no send, poll, commit, fetch or end");
  }
  return operation;
}

Status ParseLine(const std::string& text, size_t number, History& history) {
  try {
    const json line = json::parse(text);
    if (number == 1) {
      history.idempotent = line.at("idempotent");
    } else {
      history.operations.push_back(OperationOf(line));
    }
    return Status::Ok();
  } catch (const std::exception& error) {
    return Status::InvalidArgument("line " + std::to_string(number) + ": " + error.what());
  }
}

}  // namespace

Result<History> ParseHistory(const std::string& lines) {
  History history;
  std::istringstream in(lines);
  size_t number = 0;
  for (std::string text; std::getline(in, text);)
    SLUICE_RETURN_IF_ERROR(ParseLine(text, ++number, history));
  if (number == 0) return Status::InvalidArgument("line 1: there is none");
  std::ranges::stable_sort(history.operations, {}, &Operation::begin_us);
  return history;
}

}  // namespace sluice::history
