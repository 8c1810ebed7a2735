#pragma once
// The Controller service of proto/controller.proto over gRPC. Each call goes to the controller's
// loop and is answered from there.
//
// Thread rule: gRPC's. The door is closed and the server stopped before the controller goes.

#include <memory>

#include "controller/controller.h"
#include "controller/service_door.h"

namespace grpc {
class Service;
}

namespace sluice::controller {

// Neither is owned; both outlive the server that the service is registered with.
std::shared_ptr<grpc::Service> NewControllerService(ServiceDoor& door,
                                                    MetadataController& controller);

}  // namespace sluice::controller
