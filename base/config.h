#pragma once
// Configuration as a table: one row per key says its type, unit, range, default and meaning, and
// everything else (parsing, checking, the error texts, DescribeConfigs, the reference page) is made
// from the rows.
//
// Thread rule: tables are constant data; a ConfigValues has one owner until it is shared as const.

#include <cstdint>
#include <limits>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"

namespace sluice {

enum class ConfigType { kBool, kInt, kLong, kDouble, kString, kList };
// What a number counts; kBytes accepts "64KiB", "1GiB", kMs accepts "7d", "90s", "250ms" beside
// plain numbers. Likewise for a kDouble, whose number may be a fraction: "1.5MiB".
enum class ConfigUnit { kNone, kBytes, kMs };

struct ConfigKey {
  std::string_view name;
  ConfigType type = ConfigType::kString;
  ConfigUnit unit = ConfigUnit::kNone;
  std::string_view default_value;  // ignored when has_default is false
  bool has_default = true;
  int64_t min = std::numeric_limits<int64_t>::min();
  int64_t max = std::numeric_limits<int64_t>::max();
  std::optional<int64_t> special;  // allowed beside the range: -1 that says "by itself" or "none"
  std::string_view allowed;        // comma-separated words or whole numbers; empty = any
  bool dynamic = false;            // may change while the server runs
  bool sensitive = false;          // never printed
  std::string_view doc;
};

using ConfigTable = std::span<const ConfigKey>;

const ConfigKey* FindConfigKey(ConfigTable table, std::string_view name);
// The name with the smallest edit distance to `name`, for "did you mean". REQUIRES: not empty.
std::string_view NearestConfigName(ConfigTable table, std::string_view name);
std::string NearestName(const std::vector<std::string>& names, std::string_view name);
// The canonical text of `value` for `key` (units resolved, blanks trimmed), or kInvalidArgument
// naming the value and the allowed range.
Result<std::string> CheckConfigValue(const ConfigKey& key, std::string_view value);

// Values for the keys of one table; what is not set has its default.
class ConfigValues {
 public:
  explicit ConfigValues(ConfigTable table) : table_(table) {}
  // Checked and stored. `source` ("server.properties:12", "environment SLUICE_NODE_ID", "--set") is
  // named in errors.
  Status Set(std::string_view name, std::string_view value, const std::string& source);

  // REQUIRES: the key is in the table with that type, and is set or has a default.
  bool GetBool(std::string_view name) const;
  int64_t GetInt(std::string_view name) const;  // kInt and kLong
  double GetDouble(std::string_view name) const;
  std::string GetString(std::string_view name) const;
  std::vector<std::string> GetList(std::string_view name) const;
  bool IsSet(std::string_view name) const { return values_.contains(std::string(name)); }
  // Text of the effective value; nullopt when neither set nor defaulted.
  std::optional<std::string> Find(std::string_view name) const;
  const std::map<std::string, std::string>& explicit_values() const { return values_; }
  ConfigTable table() const { return table_; }

 private:
  ConfigTable table_;
  std::map<std::string, std::string> values_;
};

// One "key=value" line of a Java properties file.
struct PropertyLine {
  int line = 0;
  std::string key;
  std::string value;
};
// Comments (# and !), blank lines, "=", ":" or blank as separator, "\" line continuation and
// \-escapes, as java.util.Properties reads them.
std::vector<PropertyLine> ParseProperties(std::string_view text);

}  // namespace sluice
