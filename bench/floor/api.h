#pragma once
// FloorApi: answers the requests that librdkafka sends to produce and to consume, from a Store.
// Every partition is led by this one server, every request is believed but for the CRC of its
// batches.
//
// Thread rule: any thread.

#include <cstdint>
#include <optional>
#include <span>
#include <string>

#include "base/output_chain.h"
#include "bench/floor/store.h"
#include "kafka/messages/request_header.h"
#include "kafka/wire_reader.h"

namespace sluice::bench {

struct FloorAnswer {
  OutputChain bytes;  // the frame; empty when nothing is to be sent yet
  // Of a fetch that found nothing: ask again when something was appended, and with `last_try` when
  // so much time has passed.
  std::optional<int32_t> wait_ms;
  bool appended = false;  // fetches that wait may find something now
  bool close = false;     // the request was not understood
};

class FloorApi {
 public:
  FloorApi(Store& store, std::string host, uint16_t port)
      : store_(store), host_(std::move(host)), port_(port) {}

  // `frame`: a request without its length. Batches in it are written to.
  FloorAnswer Handle(std::span<char> frame, bool last_try);

 private:
  struct Call {
    kafka::RequestHeader header;
    kafka::WireReader& reader;
    int16_t version() const { return header.request_api_version; }
  };

  template <typename Response>
  static FloorAnswer Reply(const Call& call, const Response& response);
  FloorAnswer Dispatch(Call& call, bool last_try);
  FloorAnswer ApiVersions(const Call& call) const;
  FloorAnswer Metadata(Call& call) const;
  FloorAnswer InitProducerId(Call& call);
  FloorAnswer Produce(Call& call);
  FloorAnswer Fetch(Call& call, bool last_try) const;
  FloorAnswer ListOffsets(Call& call) const;
  FloorAnswer CreateTopics(Call& call);
  FloorAnswer DeleteTopics(Call& call);

  Store& store_;
  const std::string host_;
  const uint16_t port_;
};

}  // namespace sluice::bench
