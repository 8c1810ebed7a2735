#pragma once
// What both doors of the admin service look at before a request goes further, whatever it asks for.
//
// Thread rule: a pure function.

#include <google/protobuf/message.h>

#include "base/status.h"

namespace sluice::admin {

// Any text of a request may get into a record or an answer of Kafka's formats, the name of a group
// or a topic, an offset's metadata, the value of a setting: one that is longer than a string can be
// there is refused, by the name of its field, wherever in the request it stands.
Status CheckStrings(const google::protobuf::Message& request);

}  // namespace sluice::admin
