#include "controller/testing/mutate.h"

#include <google/protobuf/descriptor.h>

#include <limits>
#include <string>

namespace sluice::controller::testing {

namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using google::protobuf::Reflection;

std::string OddText(Random& random) {
  switch (random.Below(7)) {
    case 0: return "";
    case 1: return "x";
    case 2: return std::string(15, 'u');
    case 3: return std::string(16, '\0');
    case 4: return std::string(16, static_cast<char>(random.Below(256)));
    case 5: return std::string(40'000, 'l');
    default: return "\xff\xfe no text";
  }
}

template <typename T>
T OddNumber(T now, Random& random) {
  switch (random.Below(8)) {
    case 0: return std::numeric_limits<T>::min();
    case 1: return std::numeric_limits<T>::max();
    case 2: return static_cast<T>(-1);
    case 3: return static_cast<T>(-2);
    case 4: return 0;
    case 5: return now == std::numeric_limits<T>::max() ? now : now + 1;
    case 6: return now == std::numeric_limits<T>::min() ? now : now - 1;
    default: return static_cast<T>(random.Below(8));
  }
}

void MutateSingle(Message& message, const FieldDescriptor* field, Random& random) {
  const Reflection* fields = message.GetReflection();
  switch (field->cpp_type()) {
    case FieldDescriptor::CPPTYPE_MESSAGE:
      if (random.Chance(1, 6)) return fields->ClearField(&message, field);
      return Mutate(*fields->MutableMessage(&message, field), random);
    case FieldDescriptor::CPPTYPE_STRING:
      return fields->SetString(&message, field, OddText(random));
    case FieldDescriptor::CPPTYPE_BOOL:
      return fields->SetBool(&message, field, !fields->GetBool(message, field));
    case FieldDescriptor::CPPTYPE_INT32:
      return fields->SetInt32(&message, field, OddNumber(fields->GetInt32(message, field), random));
    case FieldDescriptor::CPPTYPE_INT64:
      return fields->SetInt64(&message, field, OddNumber(fields->GetInt64(message, field), random));
    case FieldDescriptor::CPPTYPE_ENUM:
      return fields->SetEnumValue(&message, field, static_cast<int>(random.Below(40)));
    default: return fields->ClearField(&message, field);
  }
}

void AddOne(Message& message, const FieldDescriptor* field, Random& random) {
  const Reflection* fields = message.GetReflection();
  switch (field->cpp_type()) {
    case FieldDescriptor::CPPTYPE_MESSAGE: {
      const int count = fields->FieldSize(message, field);
      Message* added = fields->AddMessage(&message, field);
      if (count > 0 && random.Chance(1, 2))
        added->CopyFrom(fields->GetRepeatedMessage(message, field, 0));
      return;
    }
    case FieldDescriptor::CPPTYPE_STRING:
      return fields->AddString(&message, field, OddText(random));
    case FieldDescriptor::CPPTYPE_INT32:
      return fields->AddInt32(&message, field, OddNumber(1, random));
    default: return;
  }
}

void MutateRepeated(Message& message, const FieldDescriptor* field, Random& random) {
  const Reflection* fields = message.GetReflection();
  const int count = fields->FieldSize(message, field);
  if (count == 0 || random.Chance(1, 4)) return AddOne(message, field, random);
  if (random.Chance(1, 6)) return fields->RemoveLast(&message, field);
  const int i = static_cast<int>(random.Below(static_cast<uint64_t>(count)));
  switch (field->cpp_type()) {
    case FieldDescriptor::CPPTYPE_MESSAGE:
      return Mutate(*fields->MutableRepeatedMessage(&message, field, i), random);
    case FieldDescriptor::CPPTYPE_STRING:
      return fields->SetRepeatedString(&message, field, i, OddText(random));
    case FieldDescriptor::CPPTYPE_INT32:
      return fields->SetRepeatedInt32(
          &message, field, i, OddNumber(fields->GetRepeatedInt32(message, field, i), random));
    default: return fields->RemoveLast(&message, field);
  }
}

}  // namespace

void Mutate(Message& message, Random& random) {
  const auto* type = message.GetDescriptor();
  const FieldDescriptor* field =
      type->field(static_cast<int>(random.Below(static_cast<uint64_t>(type->field_count()))));
  if (field->is_repeated()) {
    MutateRepeated(message, field, random);
  } else {
    MutateSingle(message, field, random);
  }
}

}  // namespace sluice::controller::testing
