#include "rpc/message_text.h"

#include <google/protobuf/descriptor.h>

#include <vector>

#include "base/utf8.h"

namespace sluice::rpc {

namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using google::protobuf::Reflection;

Status NotText(const FieldDescriptor& field, const std::string& rest) {
  return Status::InvalidArgument(field.name() + rest);
}

Status CheckField(const Message& message, const Reflection& reflection,
                  const FieldDescriptor& field) {
  const int count = field.is_repeated() ? reflection.FieldSize(message, &field) : 1;
  for (int i = 0; i < count; ++i) {
    if (field.type() == FieldDescriptor::TYPE_STRING) {
      std::string scratch;
      const std::string& text =
          field.is_repeated() ? reflection.GetRepeatedStringReference(message, &field, i, &scratch)
                              : reflection.GetStringReference(message, &field, &scratch);
      if (!IsUtf8(text)) return NotText(field, " is not UTF-8 text");
    } else if (field.cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE) {
      const Status inner =
          CheckText(field.is_repeated() ? reflection.GetRepeatedMessage(message, &field, i)
                                        : reflection.GetMessage(message, &field));
      if (!inner.ok()) return NotText(field, "." + inner.message());
    }
  }
  return Status::Ok();
}

}  // namespace

Status CheckText(const Message& message) {
  const Reflection& reflection = *message.GetReflection();
  std::vector<const FieldDescriptor*> fields;
  reflection.ListFields(message, &fields);
  for (const FieldDescriptor* field : fields)
    SLUICE_RETURN_IF_ERROR(CheckField(message, reflection, *field));
  return Status::Ok();
}

}  // namespace sluice::rpc
