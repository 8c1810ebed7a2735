#include "controller/producer_id_manager.h"

namespace sluice::controller {

Decision<AllocateProducerIdsResponse> AllocateProducerIds(
    const HandleContext& context, const AllocateProducerIdsRequest& request) {
  Decision<AllocateProducerIdsResponse> decision;
  if (const SenderCheck sender = CheckBrokerSender(*context.image, request.sender());
      sender.code != kafka::ErrorCode::kNone) {
    SetError(*decision.response.mutable_outcome(), sender.code, sender.message);
    return decision;
  }
  const int64_t first = context.image->next_producer_id;
  metadata::MetadataRecord record;
  record.mutable_producer_ids()->set_broker_id(request.sender().node_id());
  record.mutable_producer_ids()->set_broker_epoch(request.sender().broker_epoch());
  record.mutable_producer_ids()->set_next_producer_id(first + kProducerIdBlock);
  decision.records.push_back(std::move(record));
  decision.response.set_first_producer_id(first);
  decision.response.set_count(kProducerIdBlock);
  return decision;
}

}  // namespace sluice::controller
