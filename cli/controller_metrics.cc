#include "cli/controller_metrics.h"

#include <string_view>

namespace sluice::cli {

void WriteControllerMetrics(const controller::ControllerMetrics& counts, admin::MetricsText& text) {
  const auto count = [&text](std::string_view name, std::string_view help, uint64_t value) {
    text.Counter(name, help).Add({}, static_cast<int64_t>(value));
  };
  count("kafka_controller_controllerstats_uncleanleaderelections_total",
        "Leaders elected that may lack acknowledged records, in the metadata applied here.",
        counts.unclean_elections);
  count("sluice_controller_preferred_elections_total",
        "Leads that this node gave back to preferred replicas as the active controller.",
        counts.preferred_elections);
  count("sluice_controller_yielded_leads_total",
        "Leads that this node took from drained brokers as the active controller.",
        counts.yielded_leads);
  admin::MetricsText::Family fenced =
      text.Counter("sluice_controller_brokers_fenced_total",
                   "Brokers that this node fenced as the active controller, by the evidence.");
  fenced.Add({{"evidence", "session"}}, static_cast<int64_t>(counts.fenced_by_session));
  fenced.Add({{"evidence", "refused"}}, static_cast<int64_t>(counts.fenced_by_refusal));
  count("sluice_controller_fence_brakes_total",
        "Times that half of the brokers seemed gone at once, and this node first made sure of "
        "itself.",
        counts.fence_brakes);
  count("sluice_controller_activations_total", "Times that this node became the active controller.",
        counts.activations);
}

}  // namespace sluice::cli
