#include "cli/server_config_file.h"

#include <unistd.h>

#include <CLI/CLI.hpp>
#include <array>
#include <iostream>

extern char** environ;

namespace sluice::cli {

namespace {

std::map<std::string, std::string> Environment() {
  std::map<std::string, std::string> variables;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const std::string text = *entry;
    const size_t equals = text.find('=');
    if (equals != std::string::npos) variables[text.substr(0, equals)] = text.substr(equals + 1);
  }
  // Settings of the CLI's own, not of a server.
  for (const char* own :
       {"SLUICE_SERVER", "SLUICE_BOOTSTRAP", "SLUICE_BUILD", "SLUICE_UP_DIR", "SLUICE_UP_PORT"})
    variables.erase(own);
  return variables;
}

std::string HostName() {
  std::array<char, 256> name{};
  return gethostname(name.data(), name.size() - 1) == 0 ? name.data() : "localhost";
}

}  // namespace

void AddConfigFileOptions(CLI::App& verb, ConfigFileArguments& arguments) {
  verb.add_option("--config", arguments.path, "server.properties of the node");
  verb.add_option("--set", arguments.overrides,
                  "key=value, stronger than the file and the environment; may be given again");
}

Result<metadata::LoadedConfig> LoadConfigFile(FileSystem& fs,
                                              const ConfigFileArguments& arguments) {
  metadata::ConfigSources sources;
  sources.file_name = arguments.path;
  sources.environment = Environment();
  sources.overrides = arguments.overrides;
  sources.host_name = HostName();
  if (!arguments.path.empty()) {
    Result<std::string> text = ReadFile(fs, arguments.path);
    if (!text.ok()) {
      return Status(text.status().code(), "the configuration cannot be read\n" +
                                              text.status().message() +
                                              "\nname a readable file with --config");
    }
    sources.file_text = std::move(*text);
  }
  return metadata::LoadServerConfig(sources);
}

ExitCode ReportConfigError(const Status& status) {
  PrintError("the configuration cannot be used", status, "correct what is named above");
  return ExitCodeOf(status);
}

}  // namespace sluice::cli
