#include "admin/request_check.h"

#include <string>
#include <vector>

#include "kafka/string_limit.h"

namespace sluice::admin {
namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using google::protobuf::Reflection;

Status CheckString(const std::string& name, const std::string& text) {
  if (text.size() <= kafka::kStringBytesMax) return Status::Ok();
  return Status::InvalidArgument(name + " is too long: it has " + std::to_string(text.size()) +
                                 " bytes, and Kafka's formats hold at most " +
                                 std::to_string(kafka::kStringBytesMax) + "; give a shorter one");
}

Status CheckField(const Message& message, const FieldDescriptor& field) {
  const Reflection& reflection = *message.GetReflection();
  const int count = field.is_repeated() ? reflection.FieldSize(message, &field) : 1;
  for (int i = 0; i < count; ++i) {
    // A map is a list of messages with a key and a value.
    if (field.cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE) {
      SLUICE_RETURN_IF_ERROR(CheckStrings(field.is_repeated()
                                              ? reflection.GetRepeatedMessage(message, &field, i)
                                              : reflection.GetMessage(message, &field)));
    } else if (field.cpp_type() == FieldDescriptor::CPPTYPE_STRING) {
      SLUICE_RETURN_IF_ERROR(CheckString(
          field.name(), field.is_repeated() ? reflection.GetRepeatedString(message, &field, i)
                                            : reflection.GetString(message, &field)));
    }
  }
  return Status::Ok();
}

}  // namespace

Status CheckStrings(const Message& request) {
  std::vector<const FieldDescriptor*> fields;
  request.GetReflection()->ListFields(request, &fields);
  for (const FieldDescriptor* field : fields) SLUICE_RETURN_IF_ERROR(CheckField(request, *field));
  return Status::Ok();
}

}  // namespace sluice::admin
