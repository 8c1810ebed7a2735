#include "base/version.h"

#include <CLI/CLI.hpp>
#include <iostream>

#include "cli/context.h"

namespace sluice::cli {

void AddVersionCommand(CLI::App& app, Context& context) {
  CLI::App* verb = app.add_subcommand("version", "Print the version");
  verb->callback([&context] {
    context.action = [&context] {
      if (context.json()) {
        PrintJson({{"version", kVersion}, {"kafka_protocol", "4.3.1"}});
      } else {
        std::cout << "sluice " << kVersion << " (protocol of Apache Kafka 4.3.1)" << std::endl;
      }
      return ExitCode::kOk;
    };
  });
}

}  // namespace sluice::cli
