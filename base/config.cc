#include "base/config.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>
#include <numeric>

namespace sluice {

namespace {

std::string_view Trim(std::string_view text) {
  const auto blank = [](char c) { return std::isspace(static_cast<unsigned char>(c)) != 0; };
  while (!text.empty() && blank(text.front())) text.remove_prefix(1);
  while (!text.empty() && blank(text.back())) text.remove_suffix(1);
  return text;
}

std::vector<std::string> SplitList(std::string_view text) {
  std::vector<std::string> parts;
  while (!text.empty()) {
    const size_t comma = std::min(text.find(','), text.size());
    if (const std::string_view part = Trim(text.substr(0, comma)); !part.empty())
      parts.emplace_back(part);
    text.remove_prefix(std::min(comma + 1, text.size()));
  }
  return parts;
}

struct UnitName {
  ConfigUnit unit;
  std::string_view suffix;
  int64_t factor;
};
constexpr std::array<UnitName, 16> kUnitNames{{
    {ConfigUnit::kBytes, "B", 1},
    {ConfigUnit::kBytes, "KiB", 1LL << 10},
    {ConfigUnit::kBytes, "MiB", 1LL << 20},
    {ConfigUnit::kBytes, "GiB", 1LL << 30},
    {ConfigUnit::kBytes, "TiB", 1LL << 40},
    {ConfigUnit::kBytes, "kB", 1000},
    {ConfigUnit::kBytes, "MB", 1000000},
    {ConfigUnit::kBytes, "GB", 1000000000},
    {ConfigUnit::kMs, "ms", 1},
    {ConfigUnit::kMs, "s", 1000},
    {ConfigUnit::kMs, "m", 60000},
    {ConfigUnit::kMs, "min", 60000},
    {ConfigUnit::kMs, "h", 3600000},
    {ConfigUnit::kMs, "d", 86400000},
    {ConfigUnit::kMs, "w", 604800000},
    {ConfigUnit::kMs, "y", 31536000000},
}};

// What stands behind the number, as a factor; nullopt when it is no unit of the key.
std::optional<int64_t> UnitFactor(std::string_view suffix, ConfigUnit unit) {
  if (suffix.empty()) return 1;
  for (const UnitName& name : kUnitNames) {
    if (name.unit == unit && name.suffix == suffix) return name.factor;
  }
  return std::nullopt;
}

std::optional<int64_t> ParseNumber(std::string_view text, ConfigUnit unit) {
  int64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc()) return std::nullopt;
  const auto factor = UnitFactor(Trim(text.substr(static_cast<size_t>(end - text.data()))), unit);
  int64_t product = 0;
  if (!factor || __builtin_mul_overflow(number, *factor, &product)) return std::nullopt;
  return product;
}

Status BadValue(const ConfigKey& key, std::string_view value, const std::string& expected) {
  const std::string shown = key.sensitive ? "(hidden)" : std::string(value);
  return Status::InvalidArgument("invalid value '" + shown + "' for " + std::string(key.name) +
                                 ": expected " + expected);
}

std::string UnitHint(const ConfigKey& key) {
  switch (key.unit) {
    case ConfigUnit::kNone: return "";
    case ConfigUnit::kBytes: return " (bytes, or with KiB, MiB, GiB)";
    case ConfigUnit::kMs: return " (ms, or with s, m, h, d)";
  }
  return "";
}

std::string RangeText(const ConfigKey& key) {
  const bool is_int = key.type == ConfigType::kInt;
  const int64_t low =
      is_int ? std::max<int64_t>(key.min, std::numeric_limits<int32_t>::min()) : key.min;
  const int64_t high =
      is_int ? std::min<int64_t>(key.max, std::numeric_limits<int32_t>::max()) : key.max;
  const std::string special = key.special ? std::to_string(*key.special) + ", or " : "";
  return special + "a whole number from " + std::to_string(low) + " to " + std::to_string(high) +
         UnitHint(key);
}

Result<std::string> CheckNumber(const ConfigKey& key, std::string_view value) {
  const std::optional<int64_t> number = ParseNumber(value, key.unit);
  const bool fits_type =
      number && (key.type == ConfigType::kLong || (*number >= std::numeric_limits<int32_t>::min() &&
                                                   *number <= std::numeric_limits<int32_t>::max()));
  const bool in_range = number && *number >= key.min && *number <= key.max;
  if (!fits_type || (!in_range && number != key.special))
    return BadValue(key, value, RangeText(key));
  std::string text = std::to_string(*number);
  const std::vector<std::string> allowed = SplitList(key.allowed);
  if (!allowed.empty() && std::find(allowed.begin(), allowed.end(), text) == allowed.end())
    return BadValue(key, value, "one of " + std::string(key.allowed));
  return text;
}

Result<std::string> CheckWords(const ConfigKey& key, std::string_view value) {
  const std::vector<std::string> allowed = SplitList(key.allowed);
  const std::vector<std::string> words = key.type == ConfigType::kList
                                             ? SplitList(value)
                                             : std::vector<std::string>{std::string(value)};
  for (const std::string& word : words) {
    if (!allowed.empty() && std::find(allowed.begin(), allowed.end(), word) == allowed.end()) {
      return BadValue(key, value, "one of " + std::string(key.allowed));
    }
  }
  if (key.type == ConfigType::kString) return std::string(value);
  std::string joined;
  for (const std::string& word : words) joined += (joined.empty() ? "" : ",") + word;
  return joined;
}

Result<std::string> CheckDouble(const ConfigKey& key, std::string_view value) {
  double number = 0;
  const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), number);
  const std::string_view suffix = Trim(value.substr(static_cast<size_t>(end - value.data())));
  const std::optional<int64_t> factor = UnitFactor(suffix, key.unit);
  number *= static_cast<double>(factor.value_or(1));
  const bool bounded = key.max != std::numeric_limits<int64_t>::max();
  const bool in_range = number >= static_cast<double>(key.min) &&
                        (!bounded || number <= static_cast<double>(key.max));
  if (error != std::errc() || !factor || !in_range) {
    return BadValue(key, value,
                    "a number " + std::string(bounded ? "from " : "of at least ") +
                        std::to_string(key.min) +
                        (bounded ? " to " + std::to_string(key.max) : "") + UnitHint(key));
  }
  if (suffix.empty()) return std::string(value);
  std::array<char, 32> text{};
  const auto printed = std::to_chars(text.data(), text.data() + text.size(), number);
  return std::string(text.data(), printed.ptr);
}

size_t EditDistance(std::string_view a, std::string_view b) {
  std::vector<size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), 0);
  for (size_t i = 1; i <= a.size(); ++i) {
    size_t diagonal = row[0];
    row[0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      const size_t substituted = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);
      diagonal = row[j];
      row[j] = std::min({row[j] + 1, row[j - 1] + 1, substituted});
    }
  }
  return row.back();
}

}  // namespace

const ConfigKey* FindConfigKey(ConfigTable table, std::string_view name) {
  const auto key =
      std::find_if(table.begin(), table.end(), [&](const ConfigKey& k) { return k.name == name; });
  return key == table.end() ? nullptr : &*key;
}

std::string_view NearestConfigName(ConfigTable table, std::string_view name) {
  CHECK(!table.empty());
  const auto distance = [name](const ConfigKey& key) { return EditDistance(key.name, name); };
  return std::ranges::min_element(table, {}, distance)->name;
}

std::string NearestName(const std::vector<std::string>& names, std::string_view name) {
  CHECK(!names.empty());
  const auto distance = [name](const std::string& known) { return EditDistance(known, name); };
  return *std::ranges::min_element(names, {}, distance);
}

Result<std::string> CheckConfigValue(const ConfigKey& key, std::string_view raw_value) {
  const std::string_view value = Trim(raw_value);
  switch (key.type) {
    case ConfigType::kBool: {
      std::string lower(value);
      std::transform(lower.begin(), lower.end(), lower.begin(),
                     [](unsigned char c) { return std::tolower(c); });
      if (lower == "true" || lower == "false") return lower;
      return BadValue(key, value, "true or false");
    }
    case ConfigType::kInt:
    case ConfigType::kLong: return CheckNumber(key, value);
    case ConfigType::kDouble: return CheckDouble(key, value);
    case ConfigType::kString:
    case ConfigType::kList: return CheckWords(key, value);
  }
  return Status::Internal("config key without a type");
}

Status ConfigValues::Set(std::string_view name, std::string_view value, const std::string& source) {
  const ConfigKey* key = FindConfigKey(table_, name);
  if (key == nullptr) {
    return Status::InvalidArgument(source + ": unknown key '" + std::string(name) +
                                   "'; the nearest known key is '" +
                                   std::string(NearestConfigName(table_, name)) + "'");
  }
  Result<std::string> checked = CheckConfigValue(*key, value);
  if (!checked.ok())
    return Status(checked.status().code(), source + ": " + checked.status().message());
  values_[std::string(name)] = std::move(*checked);
  return Status::Ok();
}

std::optional<std::string> ConfigValues::Find(std::string_view name) const {
  if (const auto set = values_.find(std::string(name)); set != values_.end()) return set->second;
  const ConfigKey* key = FindConfigKey(table_, name);
  CHECK(key != nullptr) << "no config key " << name;
  if (!key->has_default) return std::nullopt;
  return std::string(key->default_value);
}

std::string ConfigValues::GetString(std::string_view name) const {
  std::optional<std::string> value = Find(name);
  CHECK(value.has_value()) << name << " is not set and has no default";
  return *std::move(value);
}

bool ConfigValues::GetBool(std::string_view name) const { return GetString(name) == "true"; }

int64_t ConfigValues::GetInt(std::string_view name) const {
  const std::string text = GetString(name);
  const std::optional<int64_t> number = ParseNumber(text, ConfigUnit::kNone);
  CHECK(number.has_value()) << name << "=" << text;
  return *number;
}

double ConfigValues::GetDouble(std::string_view name) const { return std::stod(GetString(name)); }

std::vector<std::string> ConfigValues::GetList(std::string_view name) const {
  return SplitList(GetString(name));
}

namespace {

// A physical line that ends in an odd number of backslashes goes on in the next one.
bool Continues(std::string_view line) {
  size_t backslashes = 0;
  while (backslashes < line.size() && line[line.size() - 1 - backslashes] == '\\') ++backslashes;
  return backslashes % 2 == 1;
}

std::string Unescape(std::string_view text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '\\' || i + 1 == text.size()) {
      out += text[i];
      continue;
    }
    const char c = text[++i];
    out += c == 't' ? '\t' : c == 'n' ? '\n' : c == 'r' ? '\r' : c == 'f' ? '\f' : c;
  }
  return out;
}

PropertyLine SplitProperty(std::string_view line, int number) {
  size_t end = 0;
  while (end < line.size() && std::string_view("=: \t").find(line[end]) == std::string_view::npos) {
    end += line[end] == '\\' ? 2 : 1;
  }
  end = std::min(end, line.size());
  std::string_view rest = Trim(line.substr(end));
  if (!rest.empty() && (rest.front() == '=' || rest.front() == ':')) rest = Trim(rest.substr(1));
  return {number, Unescape(line.substr(0, end)), Unescape(rest)};
}

}  // namespace

std::vector<PropertyLine> ParseProperties(std::string_view text) {
  std::vector<PropertyLine> lines;
  std::string logical;
  int number = 0;
  int first_number = 0;
  while (!text.empty()) {
    const size_t newline = std::min(text.find('\n'), text.size());
    std::string_view line = Trim(text.substr(0, newline));
    text.remove_prefix(std::min(newline + 1, text.size()));
    ++number;
    const bool starts = logical.empty();
    if (starts && (line.empty() || line.front() == '#' || line.front() == '!')) continue;
    if (starts) first_number = number;
    const bool continues = Continues(line);
    if (continues) line.remove_suffix(1);
    logical += line;
    if (continues && !text.empty()) continue;
    if (!logical.empty()) lines.push_back(SplitProperty(logical, first_number));
    logical.clear();
  }
  return lines;
}

}  // namespace sluice
