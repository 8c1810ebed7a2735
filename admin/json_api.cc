#include "admin/json_api.h"

#include <google/protobuf/util/json_util.h>

#include <map>
#include <string_view>
#include <utility>

#include "admin/errors.h"
#include "admin/request_check.h"
#include "base/utf8.h"

namespace sluice::admin {
namespace {

constexpr char kJson[] = "application/json";

std::string Quoted(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (static_cast<unsigned char>(c) < 0x20) {
      constexpr char kHex[] = "0123456789abcdef";
      out += "\\u00";
      out += kHex[(c >> 4) & 15];
      out += kHex[c & 15];
    } else {
      out += c;
    }
  }
  return out + "\"";
}

HttpResponse JsonMessage(const google::protobuf::Message& message) {
  google::protobuf::util::JsonPrintOptions options;
  // Scripts want the zero as well: a field that is sometimes absent is a trap.
  options.always_print_primitive_fields = true;
  HttpResponse response{.content_type = kJson};
  const auto status = google::protobuf::util::MessageToJsonString(message, &response.body, options);
  if (!status.ok()) return JsonError(Status::Internal(status.ToString()));
  return response;
}

template <typename Request, typename Response,
          void (Handlers::*kMethod)(Request, int64_t, Done<Response>)>
void Run(Handlers& handlers, const HttpRequest& http, HttpReply reply) {
  Request request;
  const std::string body = http.body.empty() ? "{}" : http.body;
  // The parser would quote the bytes in its message, and no answer may hold them.
  if (!IsUtf8(body)) return reply(JsonError(Status::InvalidArgument("the body is not UTF-8 text")));
  if (const auto status = google::protobuf::util::JsonStringToMessage(body, &request);
      !status.ok()) {
    return reply(JsonError(Status::InvalidArgument("the body does not fit the request: " +
                                                   std::string(status.message()))));
  }
  if (const Status sound = CheckStrings(request); !sound.ok()) return reply(JsonError(sound));
  (handlers.*kMethod)(std::move(request), http.timeout_ms,
                      [reply = std::move(reply)](Result<Response> result) {
                        reply(result.ok() ? JsonMessage(*result) : JsonError(result.status()));
                      });
}

using Method = void (*)(Handlers&, const HttpRequest&, HttpReply);

const std::map<std::string_view, Method>& Methods() {
#define SLUICE_ADMIN_ROW(name) \
  { #name, &Run < name##Request, name##Response, &Handlers::name> }
  static const auto& methods = *new std::map<std::string_view, Method>{
      SLUICE_ADMIN_ROW(CreateTopic),        SLUICE_ADMIN_ROW(DeleteTopic),
      SLUICE_ADMIN_ROW(ListTopics),         SLUICE_ADMIN_ROW(DescribeTopic),
      SLUICE_ADMIN_ROW(AddPartitions),      SLUICE_ADMIN_ROW(AlterTopicConfig),
      SLUICE_ADMIN_ROW(DescribeCluster),    SLUICE_ADMIN_ROW(ListPartitions),
      SLUICE_ADMIN_ROW(MovePartitions),     SLUICE_ADMIN_ROW(CancelMoves),
      SLUICE_ADMIN_ROW(ElectLeaders),       SLUICE_ADMIN_ROW(ClusterHealth),
      SLUICE_ADMIN_ROW(DeleteRecords),      SLUICE_ADMIN_ROW(DescribeTopicConfig),
      SLUICE_ADMIN_ROW(ListOffsets),        SLUICE_ADMIN_ROW(ListGroups),
      SLUICE_ADMIN_ROW(DescribeGroup),      SLUICE_ADMIN_ROW(GroupLag),
      SLUICE_ADMIN_ROW(ExplainGroup),       SLUICE_ADMIN_ROW(DeleteGroup),
      SLUICE_ADMIN_ROW(GetGroupOffsets),    SLUICE_ADMIN_ROW(ResetGroupOffsets),
      SLUICE_ADMIN_ROW(DescribeNode),       SLUICE_ADMIN_ROW(DescribeQuorum),
      SLUICE_ADMIN_ROW(AddController),      SLUICE_ADMIN_ROW(PromoteController),
      SLUICE_ADMIN_ROW(RemoveController),   SLUICE_ADMIN_ROW(TransferController),
      SLUICE_ADMIN_ROW(PlanRebalance),      SLUICE_ADMIN_ROW(ListBrokers),
      SLUICE_ADMIN_ROW(ListReplicas),       SLUICE_ADMIN_ROW(DrainBroker),
      SLUICE_ADMIN_ROW(UndrainBroker),      SLUICE_ADMIN_ROW(DecommissionBroker),
      SLUICE_ADMIN_ROW(CancelDecommission), SLUICE_ADMIN_ROW(CanStopBroker),
  };
#undef SLUICE_ADMIN_ROW
  return methods;
}

}  // namespace

HttpResponse JsonError(const Status& status) {
  const HttpError error = ToHttp(status.code());
  return {
      .status = error.http_status,
      .content_type = kJson,
      .body = "{\"code\":" + Quoted(error.code) + ",\"message\":" + Quoted(status.message()) + "}"};
}

void HandleJson(Handlers& handlers, HttpRequest request, HttpReply reply) {
  const std::string name = request.path.substr(sizeof kJsonApiPrefix - 1);
  const auto method = Methods().find(name);
  if (method == Methods().end()) {
    HttpResponse unknown =
        JsonError(Status::Unsupported("there is no method '" + name + "' of sluice.admin.Admin"));
    unknown.status = 404;
    return reply(unknown);
  }
  if (request.method != "POST") {
    HttpResponse wrong = JsonError(Status::Unsupported("call " + request.path + " with POST"));
    wrong.status = 405;
    return reply(wrong);
  }
  // A web page of another origin can POST text, but not JSON without asking first: this keeps it
  // from making topics.
  if (!request.content_type.starts_with(kJson)) {
    HttpResponse wrong = JsonError(Status::InvalidArgument(
        "Content-Type is '" + request.content_type + "'; send application/json"));
    wrong.status = 415;
    return reply(wrong);
  }
  method->second(handlers, request, std::move(reply));
}

}  // namespace sluice::admin
