#pragma once
// CheckRegistration: whether what a broker says of itself can become metadata. A registration is
// replayed by every node and told to every client, and it comes before anything is known of its
// sender, so each field is looked at here: its record then always applies.
//
// Thread rule: functions.

#include <string>
#include <string_view>

#include "controller/decision.h"

namespace sluice::controller {

// INCONSISTENT_CLUSTER_ID or INVALID_REGISTRATION with a text that names the field, or kNone.
SenderCheck CheckRegistration(const metadata::Image& image, const RegisterBrokerRequest& request);

// Whether the text is short enough for Kafka's formats, in which clients are told it.
Status CheckText(std::string_view what, const std::string& text);

// Whether a broker may ask for that session: what `broker.session.timeout.ms` allows, or 0 for the
// controller's own. A longer one would keep a dead broker in service.
Status CheckSessionTimeout(int64_t ms);

}  // namespace sluice::controller
