#pragma once
// CheckText: the strings of a message before it is sent. Protocol buffers write any bytes into a
// string field and refuse them when they read: the other side would not even learn what it was
// asked, and the sender only that something failed.
//
// Thread rule: pure.

#include <google/protobuf/message.h>

#include "base/status.h"

namespace sluice::rpc {

// InvalidArgument with the path of the first string field, however deep, that is not UTF-8.
Status CheckText(const google::protobuf::Message& message);

}  // namespace sluice::rpc
