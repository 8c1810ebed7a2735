// `sluice log`: looks at the files of a log directory without a server: dump shows what they hold,
// verify says what is wrong with them, repair --indexes builds indexes again. Only repair writes.

#include <CLI/CLI.hpp>
#include <filesystem>
#include <iostream>

#include "base/file_system.h"
#include "cli/context.h"
#include "cli/kafka_client.h"
#include "storage/inspect/dump.h"
#include "storage/inspect/repair_indexes.h"
#include "storage/inspect/verify_directory.h"

namespace sluice::cli {

namespace {

using storage::DumpBytes;
using storage::DumpHeaders;
using storage::DumpRow;
using storage::DumpValue;
using storage::Finding;
using storage::RepairedIndex;

struct LogArguments {
  std::vector<std::string> paths;
  bool records = false;
  bool compacted = false;
  bool indexes = false;
  bool dry_run = false;
  int32_t index_interval_bytes = 4096;
};

// A partition's log directory is its parent, so "." must have one.
std::string Absolute(const std::string& path) {
  std::string absolute = std::filesystem::absolute(path).lexically_normal().string();
  while (absolute.size() > 1 && absolute.back() == '/') absolute.pop_back();
  return absolute;
}

ExitCode Fail(const std::string& what, const Status& status, const std::string& next) {
  std::cout << std::flush;
  PrintError(what, status.message(), next);
  return ExitCodeOf(status);
}

nlohmann::ordered_json AsJson(const DumpBytes& bytes) {
  return bytes ? nlohmann::ordered_json(PrintableText(*bytes)) : nlohmann::ordered_json();
}

nlohmann::ordered_json AsJson(const DumpValue& value) {
  if (const auto* bytes = std::get_if<DumpBytes>(&value)) return AsJson(*bytes);
  if (const auto* headers = std::get_if<DumpHeaders>(&value)) {
    nlohmann::ordered_json list = nlohmann::ordered_json::array();
    for (const auto& [key, text] : *headers)
      list.push_back({{"key", PrintableText(key)}, {"value", AsJson(text)}});
    return list;
  }
  if (const auto* number = std::get_if<int64_t>(&value)) return *number;
  if (const auto* flag = std::get_if<bool>(&value)) return *flag;
  return std::get<std::string>(value);
}

std::string AsText(const DumpValue& value) {
  const nlohmann::ordered_json json = AsJson(value);
  return json.is_string() ? json.get<std::string>() : json.dump();
}

void PrintRow(const Context& context, const std::string& file, const DumpRow& row) {
  if (context.json()) {
    nlohmann::ordered_json line = {{"file", file}, {"type", row.kind}};
    for (const auto& [name, value] : row.fields) line[std::string(name)] = AsJson(value);
    std::cout << line.dump() << "\n";
    return;
  }
  std::cout << row.kind;
  for (const auto& [name, value] : row.fields) std::cout << "  " << name << ": " << AsText(value);
  std::cout << "\n";
}

Result<std::vector<std::string>> FilesToDump(FileSystem& fs, const LogArguments& arguments) {
  std::vector<std::string> files;
  for (const std::string& argument : arguments.paths) {
    const std::string path = Absolute(argument);
    if (!fs.IsDirectory(path)) {
      files.push_back(path);
      continue;
    }
    SLUICE_ASSIGN_OR_RETURN(auto below, storage::DumpableFiles(fs, path));
    if (below.empty()) return Status::InvalidArgument(path + " holds no file of a log directory");
    files.insert(files.end(), below.begin(), below.end());
  }
  return files;
}

ExitCode Dump(const Context& context, const LogArguments& arguments) {
  const std::unique_ptr<FileSystem> fs = NewPosixFileSystem();
  const auto files = FilesToDump(*fs, arguments);
  if (!files.ok())
    return Fail("nothing to dump", files.status(), "name files or directories of a log.dir");
  ExitCode code = ExitCode::kOk;
  for (const std::string& file : *files) {
    if (!context.json()) std::cout << file << "\n";
    const Status dumped =
        storage::DumpFile(*fs, file, {.records = arguments.records},
                          [&](const DumpRow& row) { PrintRow(context, file, row); });
    if (dumped.ok()) continue;
    const ExitCode failed = Fail("cannot dump " + file, dumped,
                                 "sluice log verify on its directory says what is wrong with it");
    if (code == ExitCode::kOk) code = failed;
  }
  return code;
}

void PrintFinding(const Context& context, const Finding& finding) {
  const char* kind = finding.kind == Finding::Kind::kFault ? "fault" : "note";
  if (context.json()) {
    nlohmann::ordered_json line = {{"type", kind}, {"file", finding.file}};
    line["position"] =
        finding.position ? nlohmann::ordered_json(*finding.position) : nlohmann::ordered_json();
    line["problem"] = finding.problem;
    line["remedy"] = finding.remedy;
    std::cout << line.dump() << "\n";
    return;
  }
  std::cout << kind << ": " << finding.file;
  if (finding.position) std::cout << " at position " << *finding.position;
  std::cout << "\n  what: " << finding.problem << "\n";
  if (!finding.remedy.empty()) std::cout << "  do:   " << finding.remedy << "\n";
}

ExitCode Verify(const Context& context, const LogArguments& arguments) {
  const std::unique_ptr<FileSystem> fs = NewPosixFileSystem();
  const std::string directory = Absolute(arguments.paths.front());
  int faults = 0, notes = 0;
  const auto totals = storage::VerifyDirectory(
      *fs, directory, {.records = arguments.records, .compacted = arguments.compacted},
      [&](const Finding& finding) {
        ++(finding.kind == Finding::Kind::kFault ? faults : notes);
        PrintFinding(context, finding);
      });
  if (!totals.ok()) {
    return Fail("cannot verify " + directory, totals.status(),
                "name a directory of log.dirs, or one <topic>-<partition> in it");
  }
  if (totals->live) {
    std::cerr << "sluice: a running server has this directory open: what it is writing may look "
                 "torn, and only a second look after its stop is a proof"
              << std::endl;
  }
  if (context.json()) {
    std::cout << nlohmann::ordered_json({{"type", "summary"},
                                         {"directory", directory},
                                         {"partitions", totals->partitions},
                                         {"batches", totals->batches},
                                         {"records", totals->records},
                                         {"bytes", totals->bytes},
                                         {"live", totals->live},
                                         {"faults", faults},
                                         {"notes", notes}})
                     .dump()
              << "\n";
  } else {
    std::cout << totals->partitions << " partitions, " << totals->batches << " batches, "
              << totals->records << " records, " << totals->bytes << " bytes: " << faults
              << " faults, " << notes << " notes\n";
  }
  return faults == 0 ? ExitCode::kOk : ExitCode::kFindings;
}

const char* OutcomeName(RepairedIndex::Outcome outcome) {
  switch (outcome) {
    case RepairedIndex::Outcome::kUnchanged: return "unchanged";
    case RepairedIndex::Outcome::kMade: return "made";
    case RepairedIndex::Outcome::kReplaced: return "replaced";
  }
  return "";
}

void PrintDamage(const Context& context, const storage::UnreadableLog& log) {
  if (context.json()) {
    std::cout << nlohmann::ordered_json({{"type", "damage"},
                                         {"file", log.file},
                                         {"position", log.position},
                                         {"problem", log.problem},
                                         {"indexes", log.foreign ? "stay" : "end there"}})
                     .dump()
              << "\n";
    return;
  }
  std::cout << "damage: " << log.file << " at position " << log.position << ": " << log.problem
            << (log.foreign ? "; its indexes stay as they are\n" : "; its indexes end there\n");
}

void PrintIndex(const Context& context, const RepairedIndex& index) {
  if (context.json()) {
    std::cout << nlohmann::ordered_json({{"type", "index"},
                                         {"file", index.file},
                                         {"outcome", OutcomeName(index.outcome)},
                                         {"entries", index.entries}})
                     .dump()
              << "\n";
  } else if (index.outcome != RepairedIndex::Outcome::kUnchanged) {
    std::cout << OutcomeName(index.outcome) << ": " << index.file << ", " << index.entries
              << " entries\n";
  }
}

ExitCode Repair(const Context& context, const LogArguments& arguments) {
  const std::unique_ptr<FileSystem> fs = NewPosixFileSystem();
  const std::string directory = Absolute(arguments.paths.front());
  const auto totals = storage::RepairIndexes(
      *fs, directory,
      {.dry_run = arguments.dry_run, .index_interval_bytes = arguments.index_interval_bytes},
      {.index = [&](const RepairedIndex& index) { PrintIndex(context, index); },
       .damage = [&](const storage::UnreadableLog& log) { PrintDamage(context, log); }});
  if (!totals.ok()) {
    const bool live = totals.status().code() == StatusCode::kUnavailable;
    return Fail("the indexes in " + directory + " were not repaired", totals.status(),
                live ? "stop that server first"
                     : "name a directory of log.dirs, or one <topic>-<partition> in it");
  }
  if (context.json()) {
    std::cout << nlohmann::ordered_json({{"type", "summary"},
                                         {"directory", directory},
                                         {"dry_run", arguments.dry_run},
                                         {"partitions", totals->partitions},
                                         {"segments", totals->segments},
                                         {"made", totals->made},
                                         {"replaced", totals->replaced},
                                         {"unchanged", totals->unchanged},
                                         {"damaged_logs", totals->damaged_logs}})
                     .dump()
              << "\n";
  } else {
    std::cout << (arguments.dry_run ? "dry run, nothing was written: " : "") << totals->segments
              << " segments: " << totals->made << " indexes made, " << totals->replaced
              << " replaced, " << totals->unchanged << " unchanged\n";
  }
  if (totals->damaged_logs == 0) return ExitCode::kOk;
  std::cerr << "sluice: " << totals->damaged_logs
            << " .log files are damaged, which no index mends; sluice log verify says what to do"
            << std::endl;
  return ExitCode::kFindings;
}

using LogAction = ExitCode (*)(const Context&, const LogArguments&);

}  // namespace

void AddLogCommands(CLI::App& app, Context& context) {
  auto arguments = std::make_shared<LogArguments>();
  CLI::App* log = app.add_subcommand("log", "Look at the files of a log directory, and mend them");
  log->require_subcommand(1);
  log->footer(
      "Examples:\n  sluice log verify /var/lib/sluice\n  sluice log dump --records "
      "/var/lib/sluice/orders-0/00000000000000000000.log\n  sluice log repair --indexes "
      "/var/lib/sluice/orders-0");
  const auto add = [&](const char* name, const char* text, LogAction action) {
    CLI::App* verb = log->add_subcommand(name, text);
    verb->callback([&context, arguments, action] {
      context.action = [&context, arguments, action] { return action(context, *arguments); };
    });
    return verb;
  };
  CLI::App* dump = add("dump", "Show what files hold; with -o json an object a line", Dump);
  dump->add_option("path", arguments->paths, "files, or directories of partitions or logs")
      ->required();
  dump->add_flag("--records", arguments->records, "also the records of each batch");
  CLI::App* verify = add("verify", "Check files; exit code 11 when something is wrong", Verify);
  verify->add_flag("--records", arguments->records, "also decompress and decode every record");
  verify->add_flag("--compacted", arguments->compacted,
                   "gaps between offsets are no fault, though no checkpoint tells of compaction");
  CLI::App* repair = add("repair", "Build indexes again from the .log files", Repair);
  repair->add_flag("--indexes", arguments->indexes, "what to repair: .index, .timeindex, .txnindex")
      ->required();
  repair->add_flag("--dry-run", arguments->dry_run, "say what would be done, write nothing");
  repair
      ->add_option("--index-interval-bytes", arguments->index_interval_bytes,
                   "the topic's index.interval.bytes")
      ->check(CLI::Range(0, INT32_MAX))
      ->capture_default_str();
  for (CLI::App* verb : {verify, repair}) {
    verb->add_option("directory", arguments->paths, "of log.dirs, or of one partition")
        ->required()
        ->expected(1);
  }
}

}  // namespace sluice::cli
