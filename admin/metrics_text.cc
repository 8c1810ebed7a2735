#include "admin/metrics_text.h"

#include <charconv>

namespace sluice::admin {

MetricsText::Family MetricsText::Begin(std::string_view name, std::string_view type,
                                       std::string_view help) {
  out_.append("# HELP ").append(name).append(" ").append(help).append("\n# TYPE ");
  out_.append(name).append(" ").append(type).append("\n");
  return Family(out_, name);
}

MetricsText::Family& MetricsText::Family::Add(Labels labels, double value) {
  char text[32];
  const auto end = std::to_chars(text, text + sizeof text, value);
  AddText(labels, {text, static_cast<size_t>(end.ptr - text)});
  return *this;
}

MetricsText::Family& MetricsText::Family::Add(Labels labels, int64_t value) {
  AddText(labels, std::to_string(value));
  return *this;
}

void MetricsText::Family::AddText(Labels labels, std::string_view value) {
  out_ += name_;
  char separator = '{';
  for (const auto& [label, text] : labels) {
    out_ += separator;
    separator = ',';
    out_.append(label).append("=\"");
    for (const char c : text) {
      if (c == '\n') {
        out_ += "\\n";
        continue;
      }
      if (c == '"' || c == '\\') out_ += '\\';
      out_ += c;
    }
    out_ += '"';
  }
  if (separator == ',') out_ += '}';
  out_.append(" ").append(value).append("\n");
}

}  // namespace sluice::admin
