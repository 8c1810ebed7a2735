#pragma once
// The configuration file of a server as the verbs read it: --config FILE and --set key=value,
// beside the environment.
//
// Thread rule: the main thread.

#include <string>
#include <vector>

#include "base/file_system.h"
#include "cli/context.h"
#include "metadata/server_config.h"

namespace sluice::cli {

struct ConfigFileArguments {
  std::string path;
  std::vector<std::string> overrides;  // key=value
};

void AddConfigFileOptions(CLI::App& verb, ConfigFileArguments& arguments);
// The error's message has its three lines already.
Result<metadata::LoadedConfig> LoadConfigFile(FileSystem& fs, const ConfigFileArguments& arguments);
ExitCode ReportConfigError(const Status& status);

}  // namespace sluice::cli
