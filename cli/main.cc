// The `sluice` program: one verb a file; this one parses and hands over.

#include <glog/logging.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <ios>
#include <optional>
#include <utility>

#include "base/config.h"
#include "base/version.h"
#include "cli/context.h"

namespace {

using sluice::cli::Context;
using sluice::cli::ExitCode;

void AddGlobalFlags(CLI::App& app, Context& context) {
  app.add_option("-o,--output", context.output, "table or json")
      ->check(CLI::IsMember({"table", "json"}));
  app.add_option("-s,--server", context.server, "gRPC address of any node")
      ->envname("SLUICE_SERVER")
      ->check(sluice::cli::WhyNoAddress)
      ->capture_default_str();
  app.add_option("-b,--bootstrap", context.bootstrap, "Kafka address of any node")
      ->envname("SLUICE_BOOTSTRAP")
      ->capture_default_str();
  app.add_option("--timeout-ms", context.timeout_ms, "give up after this long")
      ->check(CLI::Range(1, 3600000))
      ->capture_default_str();
}

// Global flags may stand after the verb too.
void FallThrough(CLI::App& app) {
  for (CLI::App* verb : app.get_subcommands([](CLI::App*) { return true; })) {
    verb->fallthrough();
    FallThrough(*verb);
  }
}

std::vector<std::string> VerbNames(const CLI::App& app) {
  std::vector<std::string> names;
  for (const CLI::App* verb : app.get_subcommands([](const CLI::App*) { return true; })) {
    names.push_back(verb->get_name());
  }
  return names;
}

// What begins like `word`, or else differs least from it.
std::string NearestVerb(const std::vector<std::string>& names, const std::string& word) {
  const auto begins = std::find_if(names.begin(), names.end(), [&](const std::string& name) {
    return !word.empty() && name.starts_with(word);
  });
  return begins != names.end() ? *begins : sluice::NearestName(names, word);
}

// The first word that is no verb where one is expected, and the verb that was meant.
std::optional<std::pair<std::string, std::string>> WrongVerb(const CLI::App& app, int argc,
                                                             char** argv) {
  const CLI::App* level = &app;
  for (int i = 1; i < argc && argv[i][0] != '-'; ++i) {
    const std::vector<std::string> names = VerbNames(*level);
    if (names.empty()) return std::nullopt;
    if (std::find(names.begin(), names.end(), argv[i]) == names.end())
      return std::pair(std::string(argv[i]), NearestVerb(names, argv[i]));
    level = level->get_subcommand(argv[i]);
  }
  return std::nullopt;
}

// What to do about a line that does not parse. A name that begins with a dash was taken for flags.
std::string WhatIsExpected(int argc, char** argv) {
  std::string text = "--help shows what is expected";
  for (int i = 1; i < argc; ++i) {
    const std::string word = argv[i];
    if (word == "--") break;
    if (word.size() > 2 && word[0] == '-' && word[1] != '-')
      return text + "; if " + word + " is a name, put -- before it";
  }
  return text;
}

// "--status excludes --cancel" is CLI11's way to say that somebody has asked for two things.
std::string WhyContradictory(const CLI::ExcludesError& error) {
  const std::string text = error.what();
  const std::string between = " excludes ";
  const size_t at = text.find(between);
  if (at == std::string::npos) return text;
  return text.substr(0, at) + " and " + text.substr(at + between.size()) +
         " cannot be given together";
}

// CLI11 numbers its errors from 100 on; scripts know only 0 and 2.
int ReportUsage(const CLI::App& app, const CLI::ParseError& error, int argc, char** argv) {
  if (error.get_exit_code() == 0) {
    app.exit(error);
    return static_cast<int>(ExitCode::kOk);
  }
  // CLI11 only says that a verb is required; which one was meant is more help.
  if (const auto wrong = WrongVerb(app, argc, argv); wrong.has_value()) {
    sluice::cli::PrintError(
        "the command is not understood",
        "there is no verb '" + wrong->first + "'; the nearest is '" + wrong->second + "'",
        "--help behind each word shows what may follow");
  } else if (const auto* both = dynamic_cast<const CLI::ExcludesError*>(&error)) {
    sluice::cli::PrintError("the command contradicts itself, and nothing was done",
                            WhyContradictory(*both),
                            "leave one of them out; --help shows what each of them does");
  } else {
    sluice::cli::PrintError("the command is not understood", error.what(),
                            WhatIsExpected(argc, argv));
  }
  return static_cast<int>(ExitCode::kUsage);
}

}  // namespace

int main(int argc, char** argv) {
  std::ios::sync_with_stdio(false);  // else each byte of stdin costs a lock
  FLAGS_logtostderr = true;
  google::InitGoogleLogging(argv[0]);
  CLI::App app("Sluice: an event streaming platform that every Kafka client speaks to", "sluice");
  Context context;
  AddGlobalFlags(app, context);
  app.require_subcommand(1);
  app.set_version_flag("--version", std::string("sluice ") + sluice::kVersion);
  app.footer(
      "Examples:\n  sluice dev --nodes 3 --detach\n  sluice topic create orders --partitions 6 "
      "--replication-factor 3");
  sluice::cli::AddServerCommand(app, context);
  sluice::cli::AddDevCommands(app, context);
  sluice::cli::AddTopicCommands(app, context);
  sluice::cli::AddClusterCommands(app, context);
  sluice::cli::AddQuorumCommands(app, context);
  sluice::cli::AddBrokerCommands(app, context);
  sluice::cli::AddPartitionCommands(app, context);
  sluice::cli::AddGroupCommands(app, context);
  sluice::cli::AddProduceCommand(app, context);
  sluice::cli::AddConsumeCommand(app, context);
  sluice::cli::AddLogCommands(app, context);
  sluice::cli::AddVersionCommand(app, context);
  FallThrough(app);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return ReportUsage(app, error, argc, argv);
  }
  if (context.json()) sluice::cli::PrintErrorsAsJson();
  return static_cast<int>(sluice::cli::FinishOutput(context.action()));
}
