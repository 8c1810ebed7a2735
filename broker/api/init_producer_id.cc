// InitProducerId (key 22): gives an idempotent producer its id.
//   v2 flexible.  v3 the epoch that a producer resumes (KIP-360; only transactions need it: an
//   idempotent one is given a fresh id). v4, v5 other errors for transactions.
// Transactions are not offered by this version: FindCoordinator is not advertised for them,
// transaction.version is not finalised, and a transactional id is refused with UNSUPPORTED_VERSION,
// which clients report at once instead of trying again.

#include "kafka/messages/init_producer_id.h"

#include "broker/api/api_support.h"
#include "broker/api/handlers.h"

namespace sluice::broker {

namespace {

using kafka::ErrorCode;
using Request = kafka::InitProducerIdRequest;
using Response = kafka::InitProducerIdResponse;

void HandleInitProducerId(BrokerServices& services, const RequestContext&, Request request,
                          const Responder<Response>& responder) {
  Response response;
  response.producer_epoch = -1;
  if (request.transactional_id.has_value()) {
    const bool empty = request.transactional_id->empty();
    response.error_code =
        kafka::WireError(empty ? ErrorCode::kInvalidRequest : ErrorCode::kUnsupportedVersion);
    services.metrics->CountError(Request::kApiKey);
    responder.Send(response);
    return;
  }
  services.producer_ids->Allocate(
      [&services, response, responder](const Result<ProducerId>& id) mutable {
        if (id.ok()) {
          response.producer_id = id->value();
          response.producer_epoch = 0;
        } else {
          // Retriable: the next block of ids is being fetched, or the controller is changing.
          response.error_code = kafka::WireError(ErrorCode::kCoordinatorLoadInProgress);
          services.metrics->CountError(Request::kApiKey);
        }
        responder.Send(response);
      });
}

}  // namespace

const ApiHandler kInitProducerIdApi = Serve<Request, Response, &HandleInitProducerId>(0, 5);

}  // namespace sluice::broker
