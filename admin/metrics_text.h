#pragma once
// MetricsText: writes metrics in Prometheus' text format: one HELP and TYPE line for each family,
// its series together, labels escaped.
//
//   MetricsText text;
//   text.Gauge("kafka_brokers", "Brokers in service.").Add({}, 3);
//
// Thread rule: one owner.

#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>

namespace sluice::admin {

class MetricsText {
 public:
  using Labels = std::initializer_list<std::pair<std::string_view, std::string_view>>;

  // The series of one family. Finish all of a family before the next begins.
  class Family {
   public:
    Family& Add(Labels labels, double value);
    Family& Add(Labels labels, int64_t value);

   private:
    friend class MetricsText;
    Family(std::string& out, std::string_view name) : out_(out), name_(name) {}
    void AddText(Labels labels, std::string_view value);
    std::string& out_;
    std::string name_;
  };

  Family Gauge(std::string_view name, std::string_view help) { return Begin(name, "gauge", help); }
  // `name` ends in _total.
  Family Counter(std::string_view name, std::string_view help) {
    return Begin(name, "counter", help);
  }
  // Whole families that somebody else wrote.
  void Append(std::string_view text) { out_ += text; }
  std::string Take() { return std::move(out_); }

 private:
  Family Begin(std::string_view name, std::string_view type, std::string_view help);
  std::string out_;
};

}  // namespace sluice::admin
