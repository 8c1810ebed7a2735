#pragma once
// Mutate: damages a message as broken and hostile senders do: fields missing, too long, negative,
// repeated, of lengths and numbers that nobody expects. One seed gives the same damage.
//
// Thread rule: a function.

#include <google/protobuf/message.h>

#include "base/random.h"

namespace sluice::controller::testing {

// Changes one field, somewhere in `message`.
void Mutate(google::protobuf::Message& message, Random& random);

}  // namespace sluice::controller::testing
