#pragma once
// JsonApi: the admin service as JSON over HTTP, by Connect's convention: POST
// /sluice.admin.Admin/<Method> with the request as protobuf JSON; errors are
// {"code": "not_found", "message": "..."} with a fitting status.
//
// Thread rule: as Handlers.

#include "admin/handlers.h"
#include "admin/http.h"

namespace sluice::admin {

inline constexpr char kJsonApiPrefix[] = "/sluice.admin.Admin/";

// REQUIRES: request.path starts with kJsonApiPrefix.
void HandleJson(Handlers& handlers, HttpRequest request, HttpReply reply);

HttpResponse JsonError(const Status& status);

}  // namespace sluice::admin
