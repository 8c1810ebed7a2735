#pragma once
// Context and output: what every verb of the `sluice` program shares. Data goes to stdout, words
// for people to stderr; an error is three lines: what failed, why with the real values, what to do
// next.
//
// Thread rule: the main thread.

#include <functional>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"

namespace CLI {
class App;
}

namespace sluice::cli {

// experience.md 3.2; scripts rely on them.
enum class ExitCode {
  kOk = 0,
  kFailed = 1,
  kUsage = 2,
  kNotFound = 3,
  kExists = 4,
  kDenied = 5,
  kUnreachable = 6,
  kPartlyDone = 7,
  kUnhealthy = 10,
  kFindings = 11,
};

// The global flags, and the verb that was chosen.
struct Context {
  std::string output = "table";              // table or json
  std::string server = "localhost:9095";     // gRPC address of any node
  std::string bootstrap = "localhost:9092";  // Kafka address of any node
  int64_t timeout_ms = 10000;
  std::function<ExitCode()> action;  // set by the verb that was parsed
  bool json() const { return output == "json"; }
};

// Errors from here on are one JSON object a line, {"error":{"what","why","do"}}, still on stderr.
void PrintErrorsAsJson();
// Text of others for a person's terminal: without control characters, and words that nobody reads
// to the end cut short.
std::string ForPerson(std::string_view text);
// Three lines on stderr.
void PrintError(const std::string& what, const std::string& why, const std::string& next);
// The same for a status that may bring its own three lines (what, why, what to do); `what` and
// `next` are for one that does not.
void PrintError(const std::string& what, const Status& status, const std::string& next);
ExitCode ExitCodeOf(const Status& status);
// For CLI11's checks: empty for the address of a node, host:port, else what is wrong with it.
std::string WhyNoAddress(const std::string& text);
// Fails where `ms` since 1970 can only be meant as seconds; `option` is what it was given with.
Status CheckMilliseconds(const std::string& option, int64_t ms);

// Ends the program's output: a full disk or a closed pipe must not pass for success.
ExitCode FinishOutput(ExitCode code);

// Columns aligned by their widest cell.
void PrintTable(const std::vector<std::string>& header,
                const std::vector<std::vector<std::string>>& rows);
void PrintJson(const nlohmann::json& value);

// Each adds its verbs to the program.
void AddServerCommand(CLI::App& app, Context& context);
void AddDevCommands(CLI::App& app, Context& context);
void AddTopicCommands(CLI::App& app, Context& context);
void AddClusterCommands(CLI::App& app, Context& context);
void AddQuorumCommands(CLI::App& app, Context& context);
void AddBrokerCommands(CLI::App& app, Context& context);
void AddRebalanceCommands(CLI::App& cluster, Context& context);  // of AddClusterCommands
void AddPartitionCommands(CLI::App& app, Context& context);
void AddGroupCommands(CLI::App& app, Context& context);
void AddGroupOffsetsCommands(CLI::App& group, Context& context);  // of AddGroupCommands
void AddProduceCommand(CLI::App& app, Context& context);
void AddConsumeCommand(CLI::App& app, Context& context);
void AddLogCommands(CLI::App& app, Context& context);
void AddVersionCommand(CLI::App& app, Context& context);

}  // namespace sluice::cli
