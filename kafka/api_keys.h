#pragma once
// What this build knows of each API: its key, name and versions, and which header stands before it.
// The rows come from schema/.
//
// Thread rule: constants.

#include <cstdint>

#include "kafka/messages/api_table.h"  // enum class ApiKey, AllApis()

namespace sluice::kafka {

struct ApiInfo {
  ApiKey key;
  const char* name;
  int16_t version_min;
  int16_t version_max;
  int16_t flexible_since;  // 32767 when never
  // The least version that ApiVersions tells. Below version_min for Produce: librdkafka takes a
  // broker that hides Produce 0 for one without it, though nobody sends it (KAFKA-18659).
  int16_t version_min_advertised;
};

// nullptr for a key without schema.
const ApiInfo* FindApi(int16_t key);

// The versions of RequestHeader and ResponseHeader around a body of this version, which need not be
// a supported one: a broker answers ApiVersions of the future. 1 and 0 for unknown keys.
int16_t RequestHeaderVersion(int16_t key, int16_t version);
int16_t ResponseHeaderVersion(int16_t key, int16_t version);

}  // namespace sluice::kafka
